//! Tables of fields and messages as Python hands them over.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::{Default, FieldKind, FieldSpec, Spec, Value};

/// One row of `schemas.fieldspec.field_specs`: name, kind, minimum, maximum, plain, choices, optional, kind of default,
/// default.
pub(crate) type Row<'py> =
    (String, String, Bound<'py, PyAny>, Bound<'py, PyAny>, bool, Vec<String>, bool, String, Bound<'py, PyAny>);

/// Build a record type from the table that `schemas.fieldspec.field_specs` gives. Raises ValueError for an unknown kind.
pub fn spec_from_python(table: &Bound<'_, PyAny>) -> PyResult<Spec> {
    let rows: Vec<Row> = table.extract()?;
    Ok(Spec::new(rows.into_iter().map(field_from_python).collect::<PyResult<_>>()?))
}

pub(crate) fn field_from_python(row: Row) -> PyResult<FieldSpec> {
    let (name, kind, min, max, plain, values, optional, default_kind, default) = row;
    let kind = match kind.as_str() {
        "text" => FieldKind::Text { min: min.extract()?, max: max.extract()?, plain },
        "choice" => FieldKind::Choice { values },
        "int" => FieldKind::Int { min: min.extract()?, max: max.extract()? },
        "float" => FieldKind::Float { min: min.extract()?, max: max.extract()? },
        "bool" => FieldKind::Bool,
        other => return Err(PyValueError::new_err(format!("no such kind of field: {other}"))),
    };
    let default = match default_kind.as_str() {
        "required" => Default::Required,
        "none" => Default::None,
        "text" => Default::Text(default.extract()?),
        "int" => Default::Int(default.extract()?),
        other => return Err(PyValueError::new_err(format!("no such kind of default: {other}"))),
    };
    Ok(FieldSpec { name, kind, optional, default })
}

/// Decode messages one after the other, for tests: per message the values in the order of the table, defaults filled in,
/// then the number of unknown fields; None for a message that is refused.
#[pyfunction]
pub fn decode_rows<'py>(table: &Bound<'py, PyAny>, messages: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyList>> {
    let python = table.py();
    let mut spec = spec_from_python(table)?;
    let (mut row, mut scratch) = (Vec::new(), Vec::new());
    let found = PyList::empty(python);
    for message in &messages {
        let Ok(unknown) = spec.decode(message, &mut row, &mut scratch) else {
            found.append(python.None())?;
            continue;
        };
        let mut values: Vec<Bound<'py, PyAny>> = Vec::with_capacity(row.len() + 1);
        for (field, &value) in row.iter().enumerate() {
            values.push(match value {
                Value::Float(number) => number.into_pyobject(python)?.into_any(),
                Value::Bool(truth) => truth.into_pyobject(python)?.to_owned().into_any(),
                _ => match (spec.text(field, value, message, &scratch), spec.int(field, value)) {
                    (Some(text), _) => text.into_pyobject(python)?.into_any(),
                    (None, Some(number)) => number.into_pyobject(python)?.into_any(),
                    (None, None) => python.None().into_bound(python),
                },
            });
        }
        values.push(unknown.into_pyobject(python)?.into_any());
        found.append(PyTuple::new(python, values)?)?;
    }
    Ok(found)
}
