//! What the publication must let through: rows inserted into table `event`, whole, and nothing else.
//!
//! PostgreSQL decodes with the catalog of the moment in which a change was written. Without the publication at that moment
//! decoding fails for ever (SQLSTATE 42704) or, since PostgreSQL 18, skips the change silently; with other tables or
//! operations in it, changes come that are no events. Absent on purpose: making it, which takes the owner's rights
//! (`headwater install`).

use schema::address::PUBLICATION;
use tokio_postgres::Client;

use super::Error;
use super::session::answered;

/// What is wrong with the publication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is none.
    #[error("publication {PUBLICATION} is missing")]
    Missing,
    /// Events are not published.
    #[error("publication {PUBLICATION} does not contain table event")]
    NoEvents,
    /// Only some rows or columns are published.
    #[error("publication {PUBLICATION} has a row filter or a list of columns")]
    Filtered,
    /// Other tables are published as well.
    #[error("publication {PUBLICATION} contains table {0} besides table event")]
    OtherTable(String),
    /// Not inserts alone are published.
    #[error("publication {PUBLICATION} has publish = '{0}', not publish = 'insert'")]
    Operations(String),
}

/// What is wrong with the publication, if anything is.
pub(crate) async fn fault(control: &Client) -> Result<Option<Fault>, Error> {
    let query = "SELECT pubinsert, pubupdate, pubdelete, pubtruncate, \
                 EXISTS (SELECT FROM pg_publication_rel \
                         WHERE prpubid = p.oid AND (prqual IS NOT NULL OR prattrs IS NOT NULL)), \
                 ARRAY(SELECT tablename::text FROM pg_publication_tables WHERE pubname = p.pubname ORDER BY 1) \
                 FROM pg_publication p WHERE pubname = $1";
    let Some(row) = answered(control.query_opt(query, &[&PUBLICATION])).await? else { return Ok(Some(Fault::Missing)) };
    let operations = ["insert", "update", "delete", "truncate"].into_iter().enumerate();
    let published = Published {
        operations: operations.filter(|(column, _)| row.get(*column)).map(|(_, operation)| operation).collect(),
        is_filtered: row.get(4),
        tables: row.get(5),
    };
    Ok(published.fault())
}

/// What a publication lets through.
struct Published {
    operations: Vec<&'static str>,
    is_filtered: bool,
    tables: Vec<String>,
}

impl Published {
    fn fault(self) -> Option<Fault> {
        let Self { operations, is_filtered, tables } = self;
        if !tables.iter().any(|table| table == "event") {
            return Some(Fault::NoEvents);
        }
        if let Some(other) = tables.into_iter().find(|table| table != "event") {
            return Some(Fault::OtherTable(other));
        }
        if is_filtered {
            return Some(Fault::Filtered);
        }
        (operations != ["insert"]).then(|| Fault::Operations(operations.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inserts_into_table_event_are_without_fault() {
        let found = |operations: &[&'static str], is_filtered, tables: &[&str]| {
            let tables = tables.iter().map(|table| (*table).to_owned()).collect();
            Published { operations: operations.to_vec(), is_filtered, tables }.fault()
        };
        assert_eq!(found(&["insert"], false, &["event"]), None);
        assert_eq!(found(&["insert"], false, &[]), Some(Fault::NoEvents));
        assert_eq!(found(&["insert"], true, &["event"]), Some(Fault::Filtered));
        assert_eq!(found(&["insert"], false, &["blob", "event"]), Some(Fault::OtherTable("blob".into())));
        assert_eq!(found(&[], false, &["event"]), Some(Fault::Operations(String::new())));
        let all = ["insert", "update", "delete", "truncate"];
        assert_eq!(found(&all, false, &["event"]), Some(Fault::Operations(all.join(", "))));
    }
}
