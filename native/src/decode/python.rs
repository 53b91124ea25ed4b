//! Tables of fields and messages as Python hands them over.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::{Default, FieldKind, FieldSpec, Spec, TextLimits, Value};

/// One row of `schemas.fieldspec.field_specs`: name, kind, minimum, maximum, plain, choices, optional, kind of default,
/// default, limits of the texts inside.
pub(crate) type Row<'py> = (
    String,
    String,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    bool,
    Vec<String>,
    bool,
    String,
    Bound<'py, PyAny>,
    Vec<(u32, u32, bool)>,
);

/// Build a record type from the table that `schemas.fieldspec.field_specs` gives. Raises ValueError for an unknown kind.
pub fn spec_from_python(table: &Bound<'_, PyAny>) -> PyResult<Spec> {
    let rows: Vec<Row> = table.extract()?;
    Ok(Spec::new(rows.into_iter().map(field_from_python).collect::<PyResult<_>>()?))
}

pub(crate) fn field_from_python(row: Row) -> PyResult<FieldSpec> {
    let (name, kind, min, max, plain, values, optional, default_kind, default, parts) = row;
    let parts: Vec<TextLimits> = parts.into_iter().map(|(min, max, plain)| TextLimits { min, max, plain }).collect();
    let kind = match kind.as_str() {
        "map" if parts.len() == 2 => {
            FieldKind::Map { min: min.extract()?, max: max.extract()?, name: parts[0], value: parts[1] }
        }
        "texts" if parts.len() == 1 => {
            FieldKind::Texts { min: min.extract()?, max: max.extract()?, element: parts[0] }
        }
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
        "empty" => Default::Empty,
        other => return Err(PyValueError::new_err(format!("no such kind of default: {other}"))),
    };
    Ok(FieldSpec { name, kind, optional, default })
}

/// A tuple of the texts of a map or a list.
fn texts_of<'py, 'a>(
    python: Python<'py>,
    texts: impl ExactSizeIterator<Item = &'a [u8]>,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(python, texts.map(|text| String::from_utf8_lossy(text).into_owned()))
}

/// Decode messages one after the other, for tests: per message the values in the order of the table, defaults filled in,
/// then the number of unknown fields; None for a message that is refused. A map is a tuple of names and values in turn.
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
                _ if spec.holds_texts(field) => texts_of(python, spec.parts(value, message, &scratch))?.into_any(),
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
