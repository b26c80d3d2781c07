//! Tables: as wide as what is in them, and on a terminal no wider than it is.
//!
//! Always: what is cut ends with `…`, and ids and numbers are never cut; characters are counted as wide as a terminal
//! draws them; what others wrote is printable, each cell on one line.

use schema::terminal;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Between two columns.
const GAP: &str = "  ";
/// What a long column is not cut below.
const LONG_MIN: usize = 8;
/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 12;
/// What stands for nothing.
const NOTHING: &str = "-";

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub head: &'static str,
    /// Where its values are, as JSON pointers: the first that is there.
    pub places: &'static [&'static str],
    /// How they look.
    pub look: Look,
}

/// How values look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Never cut.
    Whole,
    /// Cut where there is no room.
    Long,
    /// To the right.
    Number,
    /// Its first digits.
    Digest,
    /// Milliseconds, as how long ago that was.
    Ago,
    /// A code, and what it means in words; cut where there is no room.
    Reason,
}

/// The table of `items`, in at most `width` columns if there is such a limit and it can be met.
#[must_use]
pub fn written(columns: &[Column], items: &[Value], width: Option<usize>) -> String {
    let head = columns.iter().map(|column| column.head.to_owned()).collect();
    let rows = items.iter().map(|item| columns.iter().map(|column| column.of(item)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let widths = widths(columns, &rows, width);
    rows.iter().map(|row| line(columns, row, &widths)).collect()
}

fn widths(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let widest = |index: usize| rows.iter().map(|row| row[index].width()).max().unwrap_or_default();
    let mut widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let mut over = width.map_or(0, |width| (widths.iter().sum::<usize>() + gaps).saturating_sub(width));
    while over > 0 {
        let long = (0..columns.len()).filter(|index| columns[*index].look.is_long() && widths[*index] > LONG_MIN);
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
        if column.look == Look::Number { blank + &text } else { text + &blank }
    });
    format!("{}\n", cells.collect::<Vec<_>>().join(GAP).trim_end())
}

/// As much of a text as there is room for.
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
        match self.look {
            Look::Digest => said(value).chars().take(DIGEST_DIGITS).collect(),
            Look::Ago => value.as_u64().map_or_else(|| said(value), ago),
            Look::Reason => reason(value),
            Look::Whole | Look::Long | Look::Number => said(value),
        }
    }
}

impl Look {
    fn is_long(self) -> bool {
        matches!(self, Self::Long | Self::Reason)
    }
}

/// How long ago something was, in its largest unit.
#[must_use]
pub fn ago(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A code and what it means, on one line.
#[must_use]
pub fn reason(reason: &Value) -> String {
    match reason["detail"].as_str().map(str::trim).filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{}: {}", said(&reason["code"]), terminal::line(detail)),
        None => said(&reason["code"]),
    }
}

/// A value on one line.
#[must_use]
pub fn said(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => terminal::line(text),
        Value::Array(list) if list.is_empty() => NOTHING.to_owned(),
        Value::Array(list) => list.iter().map(named).collect::<Vec<_>>().join(","),
        Value::Object(map) if map.is_empty() => NOTHING.to_owned(),
        Value::Object(map) => {
            let member = |(name, value): (&String, &Value)| match value {
                Value::Bool(true) => terminal::line(name),
                Value::Object(_) | Value::Array(_) => format!("{}({})", terminal::line(name), said(value)),
                value => format!("{}={}", terminal::line(name), said(value)),
            };
            map.iter().map(member).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// An item of a list by what names it, where it has a name.
fn named(value: &Value) -> String {
    let name = ["id", "name"].iter().find_map(|name| value.get(name).filter(|value| value.is_string()));
    said(name.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: [Column; 3] = [
        Column { head: "ID", places: &["/id"], look: Look::Whole },
        Column { head: "N", places: &["/gone", "/n"], look: Look::Number },
        Column { head: "TITLE", places: &["/title"], look: Look::Long },
    ];

    fn items() -> [Value; 2] {
        [
            json!({"id": "a-long-id", "n": 7, "title": "short"}),
            json!({"id": "b", "n": 12, "title": "界界界 and more of it"}),
        ]
    }

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let text = written(&COLUMNS, &items(), None);
        assert_eq!(text, "ID          N  TITLE\na-long-id   7  short\nb          12  界界界 and more of it\n");
    }

    #[test]
    fn a_narrow_terminal_cuts_what_is_long_and_nothing_else() {
        for width in 24..40 {
            let text = written(&COLUMNS, &items(), Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
            assert!(text.contains("a-long-id") && text.contains("12  界"), "{text}");
        }
        let text = written(&COLUMNS, &items(), Some(1));
        assert!(text.contains("界界界 …"), "what can't fit is as narrow as it gets: {text}");
    }

    #[test]
    fn what_others_wrote_does_nothing_to_a_terminal() {
        let evil = json!({"id": "x", "title": "\u{1b}]0;owned\u{7}\u{9b}2J\r\nnext\u{202e}"});
        let text = written(&COLUMNS, &[evil], None);
        assert!(text.chars().all(|next| next == '\n' || !next.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn times_and_reasons_are_short() {
        for (milliseconds, expected) in
            [(0, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (400_000_000, "4 d")]
        {
            assert_eq!(ago(milliseconds), expected);
        }
        let failed = json!({"code": "check_failed", "detail": "too\nhigh\u{1b}[2J\n"});
        assert_eq!(reason(&failed), "check_failed: too high\u{fffd}[2J");
        assert_eq!(reason(&json!({"code": "rejected", "detail": ""})), "rejected");
        let column = [Column { head: "REASON", places: &["/reason"], look: Look::Reason }];
        let narrow = written(&column, &[json!({"reason": failed}), json!({"reason": null})], Some(12));
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
            assert_eq!(said(&value), expected);
        }
    }
}
