//! Reads passwords from files, so that neither the command line nor the environment holds a secret.
//!
//! Invariants: surrounding white space is not part of a password; a password may have any characters; a URL that has a password
//! is not combined with a file, so that no wrong one is used unnoticed.

use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Why a password can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("{0}")]
    File(PathBuf, #[source] std::io::Error),
    /// The file is empty.
    #[error("{0} is empty, and a password is expected in it")]
    Empty(PathBuf),
    /// The URL has no user to whom the password belongs.
    #[error("the URL names no user for the password in {0}: scheme://user@host is expected")]
    NoUser(PathBuf),
    /// The URL has a password, too.
    #[error("the URL has a password already, and there is another in {0}: leave one out")]
    Two(PathBuf),
}

/// Reads the password in `file`.
///
/// # Errors
/// If the file can't be read or is empty.
pub fn read(file: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::File(file.to_owned(), error))?;
    match text.trim() {
        "" => Err(Error::Empty(file.to_owned())),
        password => Ok(password.to_owned()),
    }
}

/// Puts the password of `file`, if there is a file, into `url`. Of several URLs, separated by commas, each that names a user gets
/// it.
///
/// # Errors
/// If the file can't be read or is empty, or no URL names a user without a password.
pub fn fill(url: &str, file: Option<&Path>) -> Result<String, Error> {
    let Some(file) = file else { return Ok(url.to_owned()) };
    let password = utf8_percent_encode(&read(file)?, NON_ALPHANUMERIC).to_string();
    let mut is_used = false;
    let mut urls = Vec::new();
    for url in url.split(',') {
        urls.push(match user(url) {
            None => url.to_owned(),
            Some(user) if user.contains(':') => return Err(Error::Two(file.to_owned())),
            Some(user) => {
                is_used = true;
                url.replacen(&format!("//{user}@"), &format!("//{user}:{password}@"), 1)
            }
        });
    }
    if is_used { Ok(urls.join(",")) } else { Err(Error::NoUser(file.to_owned())) }
}

/// The part before `@host`: a user, perhaps with a password.
fn user(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(user, _)| user).filter(|user| !user.is_empty())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_url_has_the_password_of_its_file() {
        let secret = file("s3cret\n");
        for (url, expected) in [
            ("nats://ann@h:4222", "nats://ann:s3cret@h:4222"),
            ("nats://ann@a:1,nats://ann@b:2", "nats://ann:s3cret@a:1,nats://ann:s3cret@b:2"),
            ("nats://ann@a:1, nats://b:2", "nats://ann:s3cret@a:1, nats://b:2"),
            ("postgres://ann@h1:1,h2:2/db?x=a@b", "postgres://ann:s3cret@h1:1,h2:2/db?x=a@b"),
        ] {
            assert_eq!(fill(url, Some(secret.path())).unwrap(), expected);
        }
        assert_eq!(fill("nats://ann:own@h", None).unwrap(), "nats://ann:own@h");
    }

    #[test]
    fn a_password_of_any_characters_arrives_as_it_is() {
        let odd = "p@ss:w/rd?#%41+ ,é\\\"$";
        let secret = file(&format!("{odd}\n"));
        let filled = fill("postgres://ann@h/db", Some(secret.path())).unwrap();
        let config: tokio_postgres::Config = filled.parse().unwrap();
        assert_eq!(config.get_password(), Some(odd.as_bytes()));
    }

    #[test]
    fn a_password_without_a_place_or_a_file_without_a_password_is_refused() {
        let (secret, empty) = (file("s3cret"), file(" \n"));
        for url in ["nats://h:4222", "postgres:///db?user=a@b", "host=h user=ann", "nats://@h"] {
            assert!(matches!(fill(url, Some(secret.path())), Err(Error::NoUser(_))), "{url}");
        }
        assert!(matches!(fill("nats://ann:own@h", Some(secret.path())), Err(Error::Two(_))));
        assert!(matches!(fill("nats://ann@h", Some(empty.path())), Err(Error::Empty(_))));
        assert!(matches!(fill("nats://ann@h", Some(Path::new("/no/such"))), Err(Error::File(..))));
    }
}
