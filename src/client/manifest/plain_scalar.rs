//! What a word without quotes is, by the core schema of YAML 1.2: `yes` and `on` are texts, `0x1f` is a number.

use super::yaml_node::YamlValue;

/// A number of YAML that JSON can't write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJsonNumber;

/// What the word means.
pub(super) fn resolve(text: &str) -> Result<YamlValue, NotJsonNumber> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(YamlValue::Null),
        "true" | "True" | "TRUE" => return Ok(YamlValue::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(YamlValue::Bool(false)),
        _ => {}
    }
    if is_json_number(text) {
        Ok(YamlValue::Number(text.to_owned()))
    } else if is_yaml_number(text) {
        Err(NotJsonNumber)
    } else {
        Ok(YamlValue::Text(text.to_owned()))
    }
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?`
fn is_json_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits(text);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return false;
    }
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => match digits(fraction) {
            ("", _) => return false,
            (_, rest) => rest,
        },
    };
    is_exponent_or_nothing(rest)
}

fn is_yaml_number(text: &str) -> bool {
    let is_of = |digits: &str, radix: u32| !digits.is_empty() && digits.chars().all(|next| next.is_digit(radix));
    if let Some(octal) = text.strip_prefix("0o") {
        return is_of(octal, 8);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return is_of(hexadecimal, 16);
    }
    if [".nan", ".NaN", ".NAN"].contains(&text) {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if [".inf", ".Inf", ".INF"].contains(&unsigned) {
        return true;
    }
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    (!whole.is_empty() || !fraction.is_empty()) && is_exponent_or_nothing(rest)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn is_exponent_or_nothing(text: &str) -> bool {
    match text.strip_prefix(['e', 'E']) {
        None => text.is_empty(),
        Some(exponent) => {
            let (power, rest) = digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
            !power.is_empty() && rest.is_empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_yaml_says_and_a_number_what_json_can_say() {
        for number in ["0", "-0", "7", "-12", "1.50", "1e3", "1E+3", "-0.0e-0", "123456789012345678901234567890"] {
            assert!(matches!(resolve(number), Ok(YamlValue::Number(text)) if text == number), "{number}");
        }
        for refused in
            ["+1", "007", "0o17", "0x1F", ".5", "1.", "-.5e3", ".inf", "-.Inf", "+.INF", ".nan", "00", "1.e3"]
        {
            assert!(resolve(refused).is_err(), "{refused}");
        }
        for text in [
            "yes", "no", "on", "off", "y", "tRUE", "nil", "1_000", "12:30", "1.2.3", "0b1", "0xg", "0o8", "e3", ".",
            "-", "+", ".e3", "1e", "a1", "-.inf.", "0o", "0x",
        ] {
            assert!(matches!(resolve(text), Ok(YamlValue::Text(_))), "{text}");
        }
        assert!(matches!(resolve("~"), Ok(YamlValue::Null)) && matches!(resolve("TRUE"), Ok(YamlValue::Bool(true))));
    }
}
