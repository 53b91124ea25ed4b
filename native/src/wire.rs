//! Made by `python native/wire.py` from `streams/core/join/contract.py`; do not edit. Fields are in wire order.

use crate::pack::{Json, Write};

/// Hash of all that Python and this crate have to agree on. Python uses no module with another one.
pub const CONTRACT: &str = "5201988509289470";

// `schemas.drills`.
pub const DRILL_SOURCE: &str = "cx.drill";
pub const DRILL_PREFIX: &str = "cx.drill.";
pub const DRILL_ORIGIN: &str = "drill";
pub const DRILL_LINES: [&str; 4] = [
    "cx.drill.app",
    "cx.drill.payment",
    "cx.drill.delivery",
    "cx.drill.contact",
];

/// `schemas.findings.LeafCount`.
pub struct LeafCount<Values, Failed> {
    pub values: Values,
    pub exposed: i64,
    pub failed: Failed,
}

impl<Values: Write, Failed: Write> Write for LeafCount<Values, Failed> {
    fn write(self, json: &mut Json) {
        json.raw("{\"values\":").value(self.values);
        json.raw(",\"exposed\":").value(self.exposed);
        json.raw(",\"failed\":").value(self.failed);
        json.raw("}");
    }
}

/// `schemas.findings.SeenValue`.
pub struct SeenValue<'a, Customers> {
    pub attribute: &'a str,
    pub value: &'a str,
    pub customers: Customers,
}

impl<Customers: Write> Write for SeenValue<'_, Customers> {
    fn write(self, json: &mut Json) {
        json.raw("{\"attribute\":").value(self.attribute);
        json.raw(",\"value\":").value(self.value);
        json.raw(",\"customers\":").value(self.customers);
        json.raw("}");
    }
}

/// `schemas.findings.LeafEvidence`.
pub struct LeafEvidence<'a, Values> {
    pub values: Values,
    pub first_ms: i64,
    pub last_ms: i64,
    pub failures: i64,
    pub put_right_ms: Option<i64>,
    pub origin: &'a str,
}

impl<Values: Write> Write for LeafEvidence<'_, Values> {
    fn write(self, json: &mut Json) {
        json.raw("{\"values\":").value(self.values);
        json.raw(",\"first_ms\":").value(self.first_ms);
        json.raw(",\"last_ms\":").value(self.last_ms);
        json.raw(",\"failures\":").value(self.failures);
        json.raw(",\"put_right_ms\":").value(self.put_right_ms);
        json.raw(",\"origin\":").value(self.origin);
        json.raw("}");
    }
}

/// `schemas.findings.Money`.
pub struct Money<'a> {
    pub currency: &'a str,
    pub minor: i64,
}

impl Write for Money<'_> {
    fn write(self, json: &mut Json) {
        json.raw("{\"currency\":").value(self.currency);
        json.raw(",\"minor\":").value(self.minor);
        json.raw("}");
    }
}

/// `schemas.findings.CohortCount`.
pub struct CohortCount<'a, Attributes, Leaves> {
    pub line: &'a str,
    pub signal: &'a str,
    pub bin_ms: i64,
    pub width_ms: i64,
    pub partition: i64,
    pub attributes: Attributes,
    pub leaves: Leaves,
    pub closed: bool,
}

impl<Attributes: Write, Leaves: Write> Write for CohortCount<'_, Attributes, Leaves> {
    fn write(self, json: &mut Json) {
        json.raw("{\"kind\":\"cohort_count\",\"line\":").value(self.line);
        json.raw(",\"signal\":").value(self.signal);
        json.raw(",\"bin_ms\":").value(self.bin_ms);
        json.raw(",\"width_ms\":").value(self.width_ms);
        json.raw(",\"partition\":").value(self.partition);
        json.raw(",\"attributes\":").value(self.attributes);
        json.raw(",\"leaves\":").value(self.leaves);
        json.raw(",\"closed\":").value(self.closed);
        json.raw("}");
    }
}

/// `schemas.findings.BinClosed`.
pub struct BinClosed {
    pub partition: i64,
    pub partitions: i64,
    pub through_ms: i64,
}

impl Write for BinClosed {
    fn write(self, json: &mut Json) {
        json.raw("{\"kind\":\"bin_closed\",\"partition\":").value(self.partition);
        json.raw(",\"partitions\":").value(self.partitions);
        json.raw(",\"through_ms\":").value(self.through_ms);
        json.raw("}");
    }
}

/// `schemas.findings.ValuesSeen`.
pub struct ValuesSeen<'a, Values> {
    pub line: &'a str,
    pub signal: &'a str,
    pub bin_ms: i64,
    pub partition: i64,
    pub values: Values,
}

impl<Values: Write> Write for ValuesSeen<'_, Values> {
    fn write(self, json: &mut Json) {
        json.raw("{\"kind\":\"values_seen\",\"line\":").value(self.line);
        json.raw(",\"signal\":").value(self.signal);
        json.raw(",\"bin_ms\":").value(self.bin_ms);
        json.raw(",\"partition\":").value(self.partition);
        json.raw(",\"values\":").value(self.values);
        json.raw("}");
    }
}

/// `schemas.findings.SourceCount`.
pub struct SourceCount<'a> {
    pub topic: &'a str,
    pub source: &'a str,
    pub partition: i64,
    pub bin_ms: i64,
    pub width_ms: i64,
    pub events: i64,
    pub late: i64,
    pub duplicates: i64,
}

impl Write for SourceCount<'_> {
    fn write(self, json: &mut Json) {
        json.raw("{\"kind\":\"source_count\",\"topic\":").value(self.topic);
        json.raw(",\"source\":").value(self.source);
        json.raw(",\"partition\":").value(self.partition);
        json.raw(",\"bin_ms\":").value(self.bin_ms);
        json.raw(",\"width_ms\":").value(self.width_ms);
        json.raw(",\"events\":").value(self.events);
        json.raw(",\"late\":").value(self.late);
        json.raw(",\"duplicates\":").value(self.duplicates);
        json.raw("}");
    }
}

/// `schemas.findings.Episode`.
pub struct Episode<'a, Attributes, Leaves, Evidence, Amounts> {
    pub customer_id: &'a str,
    pub line: &'a str,
    pub signal: &'a str,
    pub window_ms: i64,
    pub attributes: Attributes,
    pub leaves: Leaves,
    pub first_failed_ms: i64,
    pub last_failed_ms: i64,
    pub failures: i64,
    pub evidence: Evidence,
    pub amounts: Amounts,
    pub contacted_at_ms: Option<i64>,
    pub contacts: i64,
    pub put_right_ms: Option<i64>,
    pub origin: &'a str,
}

impl<Attributes: Write, Leaves: Write, Evidence: Write, Amounts: Write> Write for Episode<'_, Attributes, Leaves, Evidence, Amounts> {
    fn write(self, json: &mut Json) {
        json.raw("{\"kind\":\"episode\",\"customer_id\":").value(self.customer_id);
        json.raw(",\"line\":").value(self.line);
        json.raw(",\"signal\":").value(self.signal);
        json.raw(",\"window_ms\":").value(self.window_ms);
        json.raw(",\"attributes\":").value(self.attributes);
        json.raw(",\"leaves\":").value(self.leaves);
        json.raw(",\"first_failed_ms\":").value(self.first_failed_ms);
        json.raw(",\"last_failed_ms\":").value(self.last_failed_ms);
        json.raw(",\"failures\":").value(self.failures);
        json.raw(",\"evidence\":").value(self.evidence);
        json.raw(",\"amounts\":").value(self.amounts);
        json.raw(",\"contacted_at_ms\":").value(self.contacted_at_ms);
        json.raw(",\"contacts\":").value(self.contacts);
        json.raw(",\"put_right_ms\":").value(self.put_right_ms);
        json.raw(",\"origin\":").value(self.origin);
        json.raw("}");
    }
}

/// `schemas.findings.Watermark`.
pub struct Watermark {
    pub partition: i64,
    pub through_ms: i64,
}

impl Write for Watermark {
    fn write(self, json: &mut Json) {
        json.raw("{\"kind\":\"watermark\",\"partition\":").value(self.partition);
        json.raw(",\"through_ms\":").value(self.through_ms);
        json.raw("}");
    }
}

/// `schemas.findings.Late`.
pub struct Late<'a> {
    pub topic: &'a str,
    pub partition: i64,
    pub offset: i64,
    pub source: &'a str,
    pub event_time_ms: i64,
    pub watermark_ms: i64,
}

impl Write for Late<'_> {
    fn write(self, json: &mut Json) {
        json.raw("{\"kind\":\"late\",\"topic\":").value(self.topic);
        json.raw(",\"partition\":").value(self.partition);
        json.raw(",\"offset\":").value(self.offset);
        json.raw(",\"source\":").value(self.source);
        json.raw(",\"event_time_ms\":").value(self.event_time_ms);
        json.raw(",\"watermark_ms\":").value(self.watermark_ms);
        json.raw("}");
    }
}
