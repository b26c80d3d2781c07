//! Tables: as wide as their values, and on a terminal no wider than the terminal.
//!
//! Always: a cut value ends with `…`, and ids and numbers are never cut; the width of characters is that on a terminal; each
//! cell is printable text on one line.

use program::clock::system_time;
use schema::instant::Instant;
use schema::terminal;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

const GAP: &str = "  ";
/// The least width of a column that may be cut.
const LONG_MIN: usize = 8;
/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 12;
/// Stands for a missing or empty value.
const NOTHING: &str = "-";

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The heading.
    pub head: &'static str,
    /// JSON pointers to the value in an item: the first that exists counts.
    pub places: &'static [&'static str],
    /// How its values are shown.
    pub style: ColumnStyle,
}

/// How the values of a column are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnStyle {
    /// Never cut.
    Whole,
    /// Cut if the terminal is too narrow.
    Long,
    /// Aligned to the right.
    Number,
    /// The first digits.
    Digest,
    /// Milliseconds, shown as how long ago that was.
    Ago,
    /// A time, shown as how long ago that was by the clock of this machine.
    Age,
    /// A code and its detail; cut if the terminal is too narrow.
    Reason,
}

/// The table of `items`, at most `width` wide if that is possible.
#[must_use]
pub fn format_table(columns: &[Column], items: &[Value], width: Option<usize>) -> String {
    let head = columns.iter().map(|column| column.head.to_owned()).collect();
    let rows = items.iter().map(|item| columns.iter().map(|column| column.of(item)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let widths = widths(columns, &rows, width);
    rows.iter().map(|row| line(columns, row, &widths)).collect()
}

/// The columns of a table, without the first ones of `droppable` that would make it wider than `width`.
pub(super) fn fitting(columns: &[Column], items: &[Value], width: Option<usize>, droppable: &[&str]) -> Vec<Column> {
    let mut columns = columns.to_vec();
    let Some(width) = width else { return columns };
    let least = |column: &Column| {
        let widest = items.iter().map(|item| column.of(item).width()).fold(column.head.width(), usize::max);
        if column.style.is_long() { widest.min(LONG_MIN) } else { widest }
    };
    let mut widths: Vec<usize> = columns.iter().map(least).collect();
    for head in droppable {
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        if widths.iter().sum::<usize>() + gaps <= width {
            break;
        }
        if let Some(index) = columns.iter().position(|column| column.head == *head) {
            columns.remove(index);
            widths.remove(index);
        }
    }
    columns
}

fn widths(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let widest = |index: usize| rows.iter().map(|row| row[index].width()).max().unwrap_or_default();
    let mut widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let mut over = width.map_or(0, |width| (widths.iter().sum::<usize>() + gaps).saturating_sub(width));
    while over > 0 {
        let long = (0..columns.len()).filter(|index| columns[*index].style.is_long() && widths[*index] > LONG_MIN);
        let Some(widest) = long.max_by_key(|index| widths[*index]) else { break };
        widths[widest] -= 1;
        over -= 1;
    }
    widths
}

fn line(columns: &[Column], row: &[String], widths: &[usize]) -> String {
    let cells = columns.iter().zip(row).zip(widths).map(|((column, text), width)| {
        let text = cut(text, *width);
        let blank = " ".repeat(width.saturating_sub(text.width()));
        if column.style == ColumnStyle::Number { blank + &text } else { text + &blank }
    });
    format!("{}\n", cells.collect::<Vec<_>>().join(GAP).trim_end())
}

/// The text, cut to `width`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = |next: &char| {
        let wide = next.width().unwrap_or_default();
        let fits = wide <= room;
        room = room.saturating_sub(wide);
        fits
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push('…');
    kept
}

impl Column {
    fn of(&self, item: &Value) -> String {
        let found = self.places.iter().find_map(|place| item.pointer(place).filter(|value| !value.is_null()));
        let Some(value) = found else { return NOTHING.to_owned() };
        match self.style {
            ColumnStyle::Digest => format_value(value).chars().take(DIGEST_DIGITS).collect(),
            ColumnStyle::Ago => value.as_u64().map_or_else(|| format_value(value), format_ago),
            ColumnStyle::Age => format_age(value),
            ColumnStyle::Reason => format_reason(value),
            ColumnStyle::Whole | ColumnStyle::Long | ColumnStyle::Number => format_value(value),
        }
    }
}

impl ColumnStyle {
    fn is_long(self) -> bool {
        matches!(self, Self::Long | Self::Reason)
    }
}

/// How long ago something was, in one unit.
#[must_use]
pub fn format_ago(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The age of a time in one unit, such as `5m`; what is no time is shown as it is.
fn format_age(time: &Value) -> String {
    let at = time.as_str().and_then(|text| text.parse::<Instant>().ok());
    at.map_or_else(|| format_value(time), |at| age_between(at, system_time()))
}

/// A time to come, by a clock that is behind, counts as now.
fn age_between(at: Instant, now: Instant) -> String {
    let seconds = now.unix_micros().saturating_sub(at.unix_micros()).max(0) / 1_000_000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A code and its detail, on one line.
#[must_use]
pub fn format_reason(reason: &Value) -> String {
    match reason["detail"].as_str().map(str::trim).filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{}: {}", format_value(&reason["code"]), terminal::line(detail)),
        None => format_value(&reason["code"]),
    }
}

/// A JSON value on one line.
#[must_use]
pub fn format_value(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => terminal::line(text),
        Value::Array(list) if list.is_empty() => NOTHING.to_owned(),
        Value::Array(list) => list.iter().map(format_item).collect::<Vec<_>>().join(","),
        Value::Object(map) if map.is_empty() => NOTHING.to_owned(),
        Value::Object(map) => {
            let member = |(name, value): (&String, &Value)| match value {
                Value::Bool(true) => terminal::line(name),
                Value::Object(_) | Value::Array(_) => format!("{}({})", terminal::line(name), format_value(value)),
                value => format!("{}={}", terminal::line(name), format_value(value)),
            };
            map.iter().map(member).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// An item of a list: its id or name, if it has one.
fn format_item(value: &Value) -> String {
    let name = ["id", "name"].iter().find_map(|name| value.get(name).filter(|value| value.is_string()));
    format_value(name.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: [Column; 3] = [
        Column { head: "ID", places: &["/id"], style: ColumnStyle::Whole },
        Column { head: "N", places: &["/gone", "/n"], style: ColumnStyle::Number },
        Column { head: "TITLE", places: &["/title"], style: ColumnStyle::Long },
    ];

    fn items() -> [Value; 2] {
        [
            json!({"id": "a-long-id", "n": 7, "title": "short"}),
            json!({"id": "b", "n": 12, "title": "界界界 and more of it"}),
        ]
    }

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let text = format_table(&COLUMNS, &items(), None);
        assert_eq!(text, "ID          N  TITLE\na-long-id   7  short\nb          12  界界界 and more of it\n");
    }

    #[test]
    fn a_narrow_terminal_cuts_what_is_long_and_nothing_else() {
        for width in 24..40 {
            let text = format_table(&COLUMNS, &items(), Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
            assert!(text.contains("a-long-id") && text.contains("12  界"), "{text}");
        }
        let text = format_table(&COLUMNS, &items(), Some(1));
        assert!(text.contains("界界界 …"), "what can't fit is as narrow as it gets: {text}");
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_in_their_order() {
        let heads = |width: usize| {
            let columns = fitting(&COLUMNS, &items(), Some(width), &["N", "TITLE"]);
            columns.iter().map(|column| column.head).collect::<Vec<_>>()
        };
        assert_eq!(heads(23), ["ID", "N", "TITLE"]);
        assert_eq!(heads(22), ["ID", "TITLE"]);
        assert_eq!(heads(18), ["ID"]);
        assert_eq!(heads(1), ["ID"], "what names an item stays");
        assert_eq!(fitting(&COLUMNS, &items(), None, &["N"]).len(), 3);
    }

    #[test]
    fn an_age_is_in_one_unit_and_never_less_than_nothing() {
        let second = |seconds: i64| Instant::from_unix_micros(seconds * 1_000_000);
        for (seconds, expected) in [(-5, "0s"), (0, "0s"), (119, "119s"), (300, "5m"), (7_200, "2h"), (400_000, "4d")] {
            assert_eq!(age_between(second(10), second(10 + seconds)), expected);
        }
        assert_eq!(format_age(&json!("not\na time")), "not a time");
    }

    #[test]
    fn what_others_wrote_does_nothing_to_a_terminal() {
        let evil = json!({"id": "x", "title": "\u{1b}]0;owned\u{7}\u{9b}2J\r\nnext\u{202e}"});
        let text = format_table(&COLUMNS, &[evil], None);
        assert!(text.chars().all(|next| next == '\n' || !next.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn times_and_reasons_are_short() {
        for (milliseconds, expected) in
            [(0, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (400_000_000, "4 d")]
        {
            assert_eq!(format_ago(milliseconds), expected);
        }
        let failed = json!({"code": "check_failed", "detail": "too\nhigh\u{1b}[2J\n"});
        assert_eq!(format_reason(&failed), "check_failed: too high\u{fffd}[2J");
        assert_eq!(format_reason(&json!({"code": "rejected", "detail": ""})), "rejected");
        let column = [Column { head: "REASON", places: &["/reason"], style: ColumnStyle::Reason }];
        let narrow = format_table(&column, &[json!({"reason": failed}), json!({"reason": null})], Some(12));
        assert_eq!(narrow, "REASON\ncheck_faile…\n-\n");
    }

    #[test]
    fn values_are_said_on_one_line() {
        for (value, expected) in [
            (json!(null), "-"),
            (json!([]), "-"),
            (json!({"all": true}), "all"),
            (json!({"a": "b", "c": "d"}), "a=b,c=d"),
            (json!(["x", {"id": "y", "z": 1}]), "x,y"),
            (json!({"nodes": ["a", "b"]}), "nodes(a,b)"),
            (json!(false), "false"),
        ] {
            assert_eq!(format_value(&value), expected);
        }
    }
}
