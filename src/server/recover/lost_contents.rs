//! Contents that were lost with the events that name them: NATS has them as long as a record points at them, a folder may have them
//! after that.
//!
//! What always holds: events are taken back only if the content of every document that they leave in force is there. The content of
//! overwritten documents may follow later, one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use program::tasks::resume_panic;
use replay::log::Follower;
use schema::command::Content;
use schema::digest::Digest;
use schema::event::Event;
use store::contents::Lacking;
use tokio::task::JoinHandle;

use crate::publish::recovery_scan;

use super::{Error, Recovery, folder_search};

impl Recovery {
    /// The contents that the missing events name and the table lacks. Those of overwritten documents and of
    /// proposals may be gone.
    pub(super) async fn contents(
        &self,
        missing: &[Event],
        after: &Follower,
    ) -> Result<BTreeMap<Digest, Content>, Error> {
        let named = missing.iter().filter_map(|event| event.change().ok()?.content());
        let mut wanted: BTreeMap<Digest, u64> = named.map(|named| (named.digest, named.size)).collect();
        let present = self.reader.contents(&wanted.keys().copied().collect::<Vec<_>>()).await?;
        wanted.retain(|digest, _| !present.contains_key(digest));
        let (prefix, log) = (&self.options.nats.nats_prefix, (self.reader.log_id(), self.reader.public_key()));
        let found = recovery_scan::contents(&self.link.jetstream(), prefix, log, &wanted).await?;
        let state = after.configuration();
        let staged = state.rollouts().staged().iter().filter_map(|(id, staged)| Some((id, staged.put.as_ref()?)));
        let documents = state.documents().iter().chain(staged);
        let gone = |digest: &Digest| wanted.contains_key(digest) && !found.contains_key(digest);
        let lost: BTreeMap<Digest, u64> = documents
            .clone()
            .filter(|(_, one)| gone(&one.put.digest))
            .map(|(_, one)| (one.put.digest, one.put.size))
            .collect();
        // The folder's contents are put back one by one, once the events are there.
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

    /// Those of these contents that the folder has.
    async fn found_below(&self, wanted: BTreeMap<Digest, u64>) -> Result<BTreeSet<Digest>, Error> {
        let mut below = BTreeSet::new();
        if let Some(dir) = self.options.contents.as_ref().filter(|_| !wanted.is_empty()) {
            let (mut found, search) = folder_search::search(dir, wanted);
            while let Some((digest, _)) = found.recv().await {
                below.insert(digest);
            }
            search_result(dir, search).await?;
        }
        Ok(below)
    }

    /// Puts back the contents that a folder has, and gives how many; the others stay in `lacking`.
    pub(super) async fn restore(&self, dir: &Path, lacking: &mut Vec<Lacking>) -> Result<usize, Error> {
        let before = lacking.len();
        let wanted = lacking.iter().map(|lacking| (lacking.digest, lacking.size)).collect();
        let (mut found, search) = folder_search::search(dir, wanted);
        while let Some((digest, bytes)) = found.recv().await {
            self.reader.restore_content(digest, &bytes).await?;
            lacking.retain(|lacking| lacking.digest != digest);
        }
        search_result(dir, search).await?;
        Ok(before - lacking.len())
    }
}

async fn search_result(dir: &Path, search: JoinHandle<std::io::Result<()>>) -> Result<(), Error> {
    resume_panic(search.await).map_err(|error| Error::Folder(dir.to_owned(), error))
}
