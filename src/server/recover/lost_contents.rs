//! Contents that were lost with the events that name them: from NATS as long as a record points at them, from a folder also after that.
//!
//! What always holds: events are taken back only if every node can be given what they leave in force; what was overwritten since may
//! follow later, one content at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use replay::log::Follower;
use schema::change::Change;
use schema::command::Content;
use schema::digest::Digest;
use schema::event::Event;
use store::contents::Lacking;
use tokio::task::JoinHandle;

use crate::publish::recovery_scan;

use super::{Error, Recovery, folder_search};

impl Recovery {
    /// The content that the missing events name and the table lacks. Of what was overwritten since it may be gone.
    pub(super) async fn contents(
        &self,
        missing: &[Event],
        after: &Follower,
    ) -> Result<BTreeMap<Digest, Content>, Error> {
        let puts = missing.iter().filter_map(|event| match event.change() {
            Ok(Change::DocumentPut(put)) => Some((put.digest, put.size)),
            _ => None,
        });
        let mut wanted: BTreeMap<Digest, u64> = puts.collect();
        let there = self.reader.contents(&wanted.keys().copied().collect::<Vec<_>>()).await?;
        wanted.retain(|digest, _| !there.contains_key(digest));
        let (prefix, key) = (&self.options.nats.nats_prefix, self.reader.public_key());
        let found = recovery_scan::contents(&self.link.jetstream(), prefix, key, &wanted).await?;
        let documents = after.configuration().documents().iter();
        let gone = |digest: &Digest| wanted.contains_key(digest) && !found.contains_key(digest);
        let lost: BTreeMap<Digest, u64> = documents
            .clone()
            .filter(|(_, one)| gone(&one.put.digest))
            .map(|(_, one)| (one.put.digest, one.put.size))
            .collect();
        // What the folder has is put back once the events are there, one by one.
        let below = self.found_below(lost).await?;
        let lost: Vec<String> = documents
            .filter(|(_, one)| gone(&one.put.digest) && !below.contains(&one.put.digest))
            .map(|(id, _)| id.to_string())
            .collect();
        if !lost.is_empty() {
            return Err(Error::ContentGone(lost.join(", ")));
        }
        let contents = found.into_iter().filter_map(|(digest, bytes)| Some((digest, Content::new(bytes).ok()?)));
        Ok(contents.collect())
    }

    /// Which of these contents the folder has.
    async fn found_below(&self, wanted: BTreeMap<Digest, u64>) -> Result<BTreeSet<Digest>, Error> {
        let mut below = BTreeSet::new();
        if let Some(dir) = self.options.contents.as_ref().filter(|_| !wanted.is_empty()) {
            let (mut found, search) = folder_search::search(dir, wanted);
            while let Some((digest, _)) = found.recv().await {
                below.insert(digest);
            }
            ended(dir, search).await?;
        }
        Ok(below)
    }

    /// Puts back what is found below a folder, and says how much; what is not found stays in `lacking`.
    pub(super) async fn restore(&self, dir: &Path, lacking: &mut Vec<Lacking>) -> Result<usize, Error> {
        let before = lacking.len();
        let wanted = lacking.iter().map(|lacking| (lacking.digest, lacking.size)).collect();
        let (mut found, search) = folder_search::search(dir, wanted);
        while let Some((digest, bytes)) = found.recv().await {
            self.reader.restore_content(digest, &bytes).await?;
            lacking.retain(|lacking| lacking.digest != digest);
        }
        ended(dir, search).await?;
        Ok(before - lacking.len())
    }
}

async fn ended(dir: &Path, search: JoinHandle<std::io::Result<()>>) -> Result<(), Error> {
    let ended = search.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
    ended.map_err(|error| Error::Folder(dir.to_owned(), error))
}
