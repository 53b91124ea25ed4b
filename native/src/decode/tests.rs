//! Edge cases of the grammar, one by one. That everything accepted equals what Python accepts is tested from Python
//! (`tests/native/test_decode.py`).

use super::scan::{eight_digits, plain_end};
use super::*;

fn text(name: &str, min: u32, max: u32, plain: bool) -> FieldSpec {
    FieldSpec { name: name.into(), kind: FieldKind::Text { min, max, plain }, optional: false, default: Default::None }
}

fn field(name: &str, kind: FieldKind, default: Default) -> FieldSpec {
    FieldSpec { name: name.into(), kind, optional: matches!(default, Default::None), default }
}

fn whole() -> Spec {
    Spec::new(vec![field("n", FieldKind::Int { min: i64::MIN, max: i64::MAX }, Default::Required)])
}

fn real() -> Spec {
    Spec::new(vec![field("n", FieldKind::Float { min: f64::MIN, max: f64::MAX }, Default::Required)])
}

/// The value of the only field, `n`, spelled as given.
fn read(spec: &mut Spec, spelled: &str) -> Result<Value, Undecided> {
    let (mut row, mut scratch) = (vec![], vec![]);
    spec.decode(format!("{{\"n\":{spelled}}}").as_bytes(), &mut row, &mut scratch)?;
    Ok(row[0])
}

/// The text of the only field, `n`, of a message.
fn read_text(min: u32, max: u32, plain: bool, spelled: &[u8]) -> Result<String, Undecided> {
    let mut spec = Spec::new(vec![text("n", min, max, plain)]);
    let (mut row, mut scratch) = (vec![], vec![]);
    let message = [b"{\"n\":\"", spelled, b"\"}"].concat();
    spec.decode(&message, &mut row, &mut scratch)?;
    Ok(spec.text(0, row[0], &message, &scratch).expect("a text").to_owned())
}

#[test]
fn integers_of_up_to_18_digits_are_read_exactly() {
    let mut spec = whole();
    for length in 1..=18 {
        let digits = &"123456789012345678"[..length];
        let number: i64 = digits.parse().unwrap();
        assert_eq!(read(&mut spec, digits), Ok(Value::Int(number)));
        assert_eq!(read(&mut spec, &format!("-{digits}")), Ok(Value::Int(-number)));
    }
    assert_eq!(read(&mut spec, "0"), Ok(Value::Int(0)));
    assert_eq!(read(&mut spec, " 7 "), Ok(Value::Int(7)));
}

#[test]
fn what_is_no_plain_integer_is_left_undecided() {
    for spelled in ["", "-", "+1", "01", "-01", "1.0", "1e3", "1234567890123456789", "0x1", "1_000", "true", "\"1\"", "null"] {
        assert_eq!(read(&mut whole(), spelled), Err(Undecided), "{spelled}");
    }
}

#[test]
fn limits_of_a_number_are_inclusive() {
    let mut spec = Spec::new(vec![field("n", FieldKind::Int { min: -2, max: 10 }, Default::Required)]);
    assert_eq!(read(&mut spec, "-2"), Ok(Value::Int(-2)));
    assert_eq!(read(&mut spec, "10"), Ok(Value::Int(10)));
    assert_eq!(read(&mut spec, "-3"), Err(Undecided));
    assert_eq!(read(&mut spec, "11"), Err(Undecided));
}

#[test]
fn floats_are_the_nearest_there_are() {
    let spellings = [
        "0.1", "0.30000000000000004", "123456.789", "1e22", "1E-7", "2.5e+3", "9007199254740993.0", "0.000001", "1e-300",
        "179769313486231570000000000000000000000.5", "3", "12345678901234567.8",
    ];
    for spelled in spellings {
        assert_eq!(read(&mut real(), spelled), Ok(Value::Float(spelled.parse().unwrap())), "{spelled}");
    }
    let Ok(Value::Float(zero)) = read(&mut real(), "-0.0") else { panic!("-0.0 is a number") };
    assert!(zero == 0.0 && zero.is_sign_negative());
}

#[test]
fn floats_that_readers_differ_on_are_left_undecided() {
    let long = format!("0.{}", "1".repeat(80));
    for spelled in ["-0", "1.", ".5", "1e", "1e+", "1e400", "-1e400", "12345678901234567890", "NaN", "Infinity", "1e0001", &long] {
        assert_eq!(read(&mut real(), spelled), Err(Undecided), "{spelled}");
    }
}

#[test]
fn eight_digits_are_eight_digits() {
    assert_eq!(eight_digits(u64::from_le_bytes(*b"12345678")), Some(12_345_678));
    assert_eq!(eight_digits(u64::from_le_bytes(*b"00000000")), Some(0));
    assert_eq!(eight_digits(u64::from_le_bytes(*b"99999999")), Some(99_999_999));
    for at in 0..8 {
        for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
            let mut eight = *b"12345678";
            eight[at] = byte;
            assert_eq!(eight_digits(u64::from_le_bytes(eight)), None, "{byte:#x} at {at}");
        }
    }
}

#[test]
fn plain_text_ends_at_the_first_byte_that_is_not() {
    for byte in 0..=u8::MAX {
        let is_plain = (0x20..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
        for length in [1, 7, 8, 9, 15, 16, 17, 33, 40] {
            for at in 0..length {
                let mut message = vec![b'a'; length];
                message[at] = byte;
                let end = if is_plain { length } else { at };
                assert_eq!(plain_end(&message, 0), end, "{byte:#x} at {at} of {length}");
            }
        }
    }
}

#[test]
fn escapes_are_undone() {
    let spelled = br#"a\"b\\c\/d\n\t\r\b\f\u00e9\uD83D\uDE00 z"#;
    assert_eq!(read_text(0, 99, false, spelled).unwrap(), "a\"b\\c/d\n\t\r\u{8}\u{c}é😀 z");
}

#[test]
fn wrong_escapes_and_bytes_are_left_undecided() {
    let wrong: [&[u8]; 11] = [
        br"\x41", br"\u12", br"\u12G4", br"\uD83D", br"\uD83D\n", br"\uD83Dx", br"\uD83D\u0041", br"\uDE00", b"a\x01b",
        b"a\xffb", b"a\xc3",
    ];
    for spelled in wrong {
        assert_eq!(read_text(0, 99, false, spelled), Err(Undecided), "{spelled:?}");
    }
}

#[test]
fn characters_that_reorder_or_hide_text_are_not_plain() {
    for refused in ["\u{202e}", "\u{2066}", "\u{85}", "\u{200e}", "\u{61c}", "\u{2028}", "\u{7f}"] {
        assert_eq!(read_text(0, 99, true, refused.as_bytes()), Err(Undecided), "{:x}", refused.chars().next().unwrap() as u32);
        assert_eq!(read_text(0, 99, false, refused.as_bytes()).unwrap(), refused);
    }
    for fine in ["é", "ü\u{a0}", "\u{2030}", "\u{2065}", "日本"] {
        assert_eq!(read_text(0, 99, true, fine.as_bytes()).unwrap(), fine);
    }
    assert_eq!(read_text(0, 99, false, br"a\u0000"), Err(Undecided));
}

#[test]
fn lengths_are_counted_in_characters() {
    assert_eq!(read_text(2, 3, true, "é日".as_bytes()).unwrap(), "é日");
    assert_eq!(read_text(2, 3, true, "日".as_bytes()), Err(Undecided));
    assert_eq!(read_text(2, 3, true, "éééé".as_bytes()), Err(Undecided));
    assert_eq!(read_text(2, 3, true, br"\u00e9\uD83D\uDE00").unwrap(), "é😀");
    assert_eq!(read_text(2, 3, true, b"abcd"), Err(Undecided));
    assert_eq!(read_text(2, 3, true, b"a"), Err(Undecided));
}

fn order() -> Spec {
    Spec::new(vec![
        field("id", FieldKind::Text { min: 1, max: 9, plain: true }, Default::Required),
        field("state", FieldKind::Choice { values: vec!["on".into(), "off".into(), "offline_now".into()] }, Default::None),
        field("source", FieldKind::Text { min: 0, max: 9, plain: true }, Default::Text("app".into())),
        field("count", FieldKind::Int { min: 0, max: 9 }, Default::Int(4)),
        field("good", FieldKind::Bool, Default::None),
    ])
}

/// The number of unknown fields, and the row.
fn decoded(spec: &mut Spec, message: &str) -> Result<(u32, Vec<Value>), Undecided> {
    let (mut row, mut scratch) = (vec![], vec![]);
    spec.decode(message.as_bytes(), &mut row, &mut scratch).map(|unknown| (unknown, row))
}

#[test]
fn fields_come_in_any_order_and_absent_ones_have_their_default() {
    let mut spec = order();
    for message in [
        r#"{"id":"a","state":"off","good":true}"#,
        r#"{"good":true,"id":"a","state":"off"}"#,
        r#" { "state" : "off" , "good":true, "id":"a" } "#,
        r#"{"id":"a","state":"off","good":true}"#,
    ] {
        let (unknown, row) = decoded(&mut spec, message).unwrap();
        assert_eq!((unknown, row[1], row[4]), (0, Value::Choice(1), Value::Bool(true)));
        assert_eq!(spec.text(0, row[0], message.as_bytes(), &[]), Some("a"));
        assert_eq!(spec.text(2, row[2], message.as_bytes(), &[]), Some("app"));
        assert_eq!(spec.int(3, row[3]), Some(4));
    }
}

#[test]
fn null_is_for_optional_fields_alone() {
    assert_eq!(decoded(&mut order(), r#"{"id":"a","state":null}"#).unwrap().1[1], Value::Null);
    assert_eq!(decoded(&mut order(), r#"{"id":null}"#), Err(Undecided));
    assert_eq!(decoded(&mut order(), r#"{"id":"a","count":null}"#), Err(Undecided));
}

#[test]
fn a_choice_is_one_of_its_values_in_full() {
    assert_eq!(decoded(&mut order(), r#"{"id":"a","state":"offline_now"}"#).unwrap().1[1], Value::Choice(2));
    for other in ["of", "offline_no", "offline_nox", "offlinexnow", "", "ON"] {
        assert_eq!(decoded(&mut order(), &format!(r#"{{"id":"a","state":"{other}"}}"#)), Err(Undecided), "{other}");
    }
}

#[test]
fn unknown_fields_are_counted_whatever_they_hold() {
    let message = r#"{"x":{"a":[1,{"b":null},"]}"],"c":-1.5e3},"id":"a","y":[],"z":"\"","w":false}"#;
    assert_eq!(decoded(&mut order(), message).unwrap().0, 4);
}

#[test]
fn nesting_is_followed_to_63_levels() {
    let nested = |levels: usize| format!(r#"{{"id":"a","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(decoded(&mut order(), &nested(63)).unwrap().0, 1);
    assert_eq!(decoded(&mut order(), &nested(64)), Err(Undecided));
}

#[test]
fn messages_that_readers_differ_on_are_left_undecided() {
    let wrong = [
        "", "{}", "[]", r#"{"id":"a""#, r#"{"id":"a"}}"#, r#"{"id":"a"} x"#, r#"{"id":"a",}"#, r#"{"id" "a"}"#, r#"{id:"a"}"#,
        r#"{"id":"a","id":"a"}"#, r#"{"id":"a","x":1,"x":2}"#, r#"{"id":"a","kind":"order"}"#, r#"{"i\u0064":"a"}"#,
        r#"{"id":"a","x":[1,]}"#, r#"{"id":"a","x":{"b"}}"#, r#"{"id":"a","x":[1 2]}"#, r#"{"id":"a","x":01}"#,
        r#"{"id":"a","x":[}"#, "{'id':'a'}", r#"{"id":"a","x":nul}"#,
    ];
    for message in wrong {
        assert_eq!(decoded(&mut order(), message), Err(Undecided), "{message}");
    }
}
