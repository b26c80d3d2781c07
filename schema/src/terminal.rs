//! Escaping of untrusted text before it is printed on a terminal. Both programs print through these functions.
//!
//! Always: what comes out has no control character but the line feeds and tabs that its function keeps, nothing that
//! reorders or hides what stands beside it, and nothing that is invisible itself.

use alloc::format;
use alloc::string::String;

/// What stands for a character that is not printed.
const REPLACEMENT: char = '\u{fffd}';

/// The text on one line: a line feed or a tab becomes a space, any other unprintable character U+FFFD.
#[must_use]
pub fn line(text: &str) -> String {
    let shown = |next: char| match next {
        '\n' | '\t' => ' ',
        next if is_unprintable(next) => REPLACEMENT,
        next => next,
    };
    text.chars().map(shown).collect()
}

/// The text with its lines and tabs, any other unprintable character as U+FFFD.
#[must_use]
pub fn lines(text: &str) -> String {
    let shown = |next: char| match next {
        '\n' | '\t' => next,
        next if is_unprintable(next) => REPLACEMENT,
        next => next,
    };
    text.chars().map(shown).collect()
}

/// The same JSON with every unprintable character escaped. Outside of texts JSON has none but a carriage return, which
/// becomes a space; within texts it has no line feed and no tab, so those that are there are the layout's.
#[must_use]
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for next in text.chars() {
        match next {
            '\n' | '\t' => shown.push(next),
            '\r' => shown.push(' '),
            next if is_unprintable(next) => {
                let mut units = [0; 2];
                next.encode_utf16(&mut units).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
            }
            next => shown.push(next),
        }
    }
    shown
}

/// Control characters (category Cc), line and paragraph separators (Zl, Zp), interlinear annotations, and all that Unicode
/// calls Default_Ignorable_Code_Point: bidirectional controls, zero-width characters, fillers, variation selectors, tags.
fn is_unprintable(next: char) -> bool {
    next.is_control()
        || matches!(
            next,
            '\u{00ad}'
                | '\u{034f}'
                | '\u{061c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// ESC, BEL, CR, DEL and CSI as one byte; override and isolate; zero-width, byte order mark and soft hyphen; line and
    /// paragraph separator; a tag.
    const HOSTILE: [char; 14] = [
        '\u{1b}',
        '\u{7}',
        '\r',
        '\u{7f}',
        '\u{9b}',
        '\u{85}',
        '\u{202e}',
        '\u{2066}',
        '\u{200b}',
        '\u{feff}',
        '\u{ad}',
        '\u{2028}',
        '\u{2029}',
        '\u{e0041}',
    ];

    #[test]
    fn nothing_unprintable_passes() {
        for hostile in HOSTILE {
            let text = format!("a{hostile}b\n\tc");
            assert_eq!(line(&text), "a\u{fffd}b  c", "{hostile:?}");
            assert_eq!(lines(&text), "a\u{fffd}b\n\tc", "{hostile:?}");
        }
        for plain in ["", "plain", "å界🦀", "e\u{301}", "\u{fffd}"] {
            assert_eq!((line(plain), lines(plain), json(plain)), (plain.into(), plain.into(), plain.into()));
        }
    }

    #[test]
    fn json_means_the_same_and_is_printable() {
        let text: String = HOSTILE.iter().collect();
        let value = serde_json::json!({ "name": text });
        for layout in [format!("{value}"), format!("{value:#}"), format!("{{\r\"name\":{}}}", value["name"])] {
            let shown = json(&layout);
            assert!(!shown.chars().any(|next| next != '\n' && is_unprintable(next)), "{shown:?}");
            assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), value);
        }
    }
}
