//! The log line of an accepted request: who sent it, why, and what came of it.
//!
//! Always: one line for each accepted request. It is at level `info` if a principal sent the request, so that an operator sees who
//! changed what; what nodes and the servers' own parts send, such as claims and reports, is at `debug`. The reason is on that line
//! whatever its text is. Refusals are at `debug`: they change nothing, and their sender is told.

use schema::entity::Actor;
use schema::terminal;

use super::submission::{AcceptedSubmission, Submission};

/// Writes the line.
pub(super) fn log_accepted(submission: &Submission, accepted: &AcceptedSubmission) {
    let AcceptedSubmission { answer, is_repeated } = accepted;
    let what = match (is_repeated, answer.events.len()) {
        (true, _) => "request repeated",
        (false, 0) => "request changed nothing",
        (false, _) => "request appended",
    };
    let reason = submission.request.reason.as_deref().map(terminal::line);
    macro_rules! write_line {
        ($level:ident) => {
            tracing::$level!(
                command_id = %submission.command_id,
                actor = %submission.actor,
                events = answer.events.len(),
                position = %answer.position,
                reason = reason.as_deref(),
                "{what}"
            )
        };
    }
    match submission.actor {
        Actor::Principal(_) => write_line!(info),
        _ => write_line!(debug),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use projections::expectation::PlanCondition;
    use schema::answer::{Answer, AppendedEvent};
    use schema::id::CommandId;
    use schema::request::Request;
    use tracing::Level;
    use uuid::Uuid;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at a level about a request of `actor`.
    fn logged(level: Level, actor: Actor, reason: Option<&str>, events: usize, is_repeated: bool) -> String {
        let mut request = Request::of([]);
        request.reason = reason.map(str::to_owned);
        let command_id = CommandId::from(Uuid::from_u128(7));
        let submission =
            Submission { request, actor, command_id, entropy: [0; 16], keyed: false, plan: PlanCondition::None };
        let event = AppendedEvent {
            position: 9.into(),
            event_type: "NodeEnrolled".into(),
            entity: "node/a".parse().expect("an entity"),
            version: 1.into(),
        };
        let answer = Answer {
            log_id: Uuid::from_u128(1).into(),
            command_id: Some(command_id),
            position: 9.into(),
            events: vec![event; events],
            results: Vec::new(),
            warnings: Vec::new(),
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(level).with_ansi(false).without_time().with_target(false);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            log_accepted(&submission, &AcceptedSubmission { answer, is_repeated });
        });
        String::from_utf8(lines.0.lock().expect("whole").clone()).expect("text")
    }

    fn ann() -> Actor {
        Actor::Principal("ann".parse().expect("a name"))
    }

    #[test]
    fn a_line_says_who_sent_what_and_why() {
        let id = "command_id=00000000-0000-0000-0000-000000000007";
        for (reason, events, is_repeated, expected) in [
            (
                Some("tidy up"),
                2,
                false,
                format!(" INFO request appended {id} actor=ann events=2 position=9 reason=\"tidy up\"\n"),
            ),
            (None, 1, false, format!(" INFO request appended {id} actor=ann events=1 position=9\n")),
            (None, 0, false, format!(" INFO request changed nothing {id} actor=ann events=0 position=9\n")),
            (None, 2, true, format!(" INFO request repeated {id} actor=ann events=2 position=9\n")),
        ] {
            assert_eq!(logged(Level::INFO, ann(), reason, events, is_repeated), expected);
        }
    }

    #[test]
    fn a_reason_can_not_make_a_line_of_its_own_or_a_field() {
        let line =
            logged(Level::INFO, ann(), Some("a\" position=1\n INFO request appended\u{1b}[2J\u{202e}"), 1, false);
        assert!(line.lines().count() == 1 && !line.contains(['\u{1b}', '\u{202e}']), "{line:?}");
        assert!(line.contains("reason=\"a\\\" position=1  INFO"), "{line:?}");
    }

    #[test]
    fn what_programs_send_by_themselves_is_not_at_info() {
        let node = Actor::Node("n-1".parse().expect("an id"));
        for actor in [Actor::Reconciler, node] {
            assert_eq!(logged(Level::INFO, actor.clone(), None, 1, false), "");
            assert!(logged(Level::DEBUG, actor, None, 1, false).starts_with("DEBUG request appended "));
        }
    }
}
