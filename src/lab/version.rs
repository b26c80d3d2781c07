//! The version of a server program, from the line that `--version` prints. Only major and minor matter here.

use std::fmt;

/// Ordered by major, then minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramVersion {
    /// The number before the first dot.
    pub major: u32,
    /// The number after it; 0 if there is none (`18beta1`).
    pub minor: u32,
}

impl ProgramVersion {
    /// `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Reads the version that follows `prefix` in `line`, as in `nats-server: v2.15.1` after `nats-server: v`.
    pub fn after(prefix: &str, line: &str) -> Option<Self> {
        let text = line.trim().strip_prefix(prefix)?;
        let (major, rest) = leading_number(text)?;
        let minor = rest.strip_prefix('.').and_then(leading_number).map_or(0, |(minor, _)| minor);
        Some(Self { major, minor })
    }
}

impl fmt::Display for ProgramVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::ProgramVersion;

    #[test]
    fn versions_are_read_from_what_the_programs_print() {
        let postgres = "postgres (PostgreSQL) ";
        let nats = "nats-server: v";
        let table = [
            (postgres, "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(ProgramVersion::new(15, 18))),
            (postgres, "postgres (PostgreSQL) 18beta1", Some(ProgramVersion::new(18, 0))),
            (nats, "nats-server: v2.15.1", Some(ProgramVersion::new(2, 15))),
            (nats, "nats-server: v2.12", Some(ProgramVersion::new(2, 12))),
            (nats, "nats-server: vnext", None),
            (nats, "", None),
            (postgres, "postgres: some other program 15.1", None),
            (nats, "nats-server: v99999999999.1", None),
        ];
        for (prefix, line, expected) in table {
            assert_eq!(ProgramVersion::after(prefix, line), expected, "{line:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_major_then_minor() {
        assert!(ProgramVersion::new(2, 9) < ProgramVersion::new(2, 12));
        assert!(ProgramVersion::new(9, 6) < ProgramVersion::new(15, 0));
    }
}
