//! Roots and proofs, computed from the stored nodes of the tree and from leaves.

use std::collections::BTreeMap;

use replay::tree::{ProofHashes, TreeNode, TreeQuery, TreeQueryError};
use schema::digest::Digest;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::database::Error;
use super::reader::Reader;
use super::rows;
use super::tree::TreeNodeInputs;

const NODES: &str = "SELECT asked.at, kept.hash \
     FROM unnest($1::int8[], $2::int2[], $3::int8[], $4::int8[]) AS asked (at, level, first, last) \
     JOIN tree AS kept ON kept.level = asked.level AND kept.index BETWEEN asked.first AND asked.last \
     ORDER BY asked.at, kept.index";
const LEAVES: &str = "SELECT asked.at, event.leaf \
     FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS asked (at, first, last) \
     JOIN event ON event.position BETWEEN asked.first + 1 AND asked.last + 1 \
     ORDER BY asked.at, event.position";

impl Reader {
    /// The answer to a question about the tree. It is made from the kept nodes and the leaves as they are: whoever checks it
    /// finds out whether they are those that a root was made from.
    ///
    /// # Errors
    /// If the log can't be read, the question makes no sense, or a node that it needs is missing.
    pub async fn answer(&self, question: TreeQuery) -> Result<ProofHashes, Error> {
        let nodes = self.nodes(&question.required_nodes()?).await?;
        Ok(question.answer(&nodes)?)
    }

    /// What is kept of these nodes.
    ///
    /// # Errors
    /// If the log can't be read.
    pub async fn kept_nodes(
        &self,
        nodes: impl IntoIterator<Item = TreeNode>,
    ) -> Result<BTreeMap<TreeNode, Digest>, Error> {
        let (levels, indexes): (Vec<i16>, Vec<i64>) =
            nodes.into_iter().map(|node| (i16::from(node.level), rows::signed(node.index))).unzip();
        let query = "SELECT level, index, hash FROM tree \
                     JOIN unnest($1::int2[], $2::int8[]) AS asked (level, index) USING (level, index)";
        let node = |row: &Row| TreeNode {
            level: row.get::<_, i16>(0).try_into().unwrap_or_default(),
            index: rows::unsigned(row.get(1)),
        };
        let found = if levels.is_empty() { Vec::new() } else { self.rows(query, &[&levels, &indexes]).await? };
        let kept = |row: &Row| Some((node(row), Digest::try_from(row.get::<_, &[u8]>(2)).ok()?));
        Ok(found.iter().filter_map(kept).collect())
    }

    /// Whether nothing stands behind the head: neither an event nor what would be kept of a larger tree.
    ///
    /// # Errors
    /// If the log can't be read, or something does.
    pub async fn ends_at_its_head(&self) -> Result<(), Error> {
        let query = "SELECT position, greatest((SELECT max(position) FROM event), \
                                               (SELECT max((index + 1) << level::integer) FROM tree)) FROM log_head";
        let rows = self.rows(query, &[]).await?;
        let head = rows.first().ok_or(Error::NotInstalled)?;
        let (position, last) = (rows::unsigned(head.get(0)), head.get::<_, Option<i64>>(1).map_or(0, rows::unsigned));
        match last <= position {
            true => Ok(()),
            false => Err(Error::Beyond { found: last.into(), head: position.into() }),
        }
    }

    /// The hashes of these nodes.
    async fn nodes(&self, nodes: &[TreeNode]) -> Result<BTreeMap<TreeNode, Digest>, Error> {
        let below: Vec<TreeNodeInputs> = nodes.iter().copied().map(TreeNodeInputs::of).collect();
        let mut found = vec![Vec::new(); nodes.len()];
        let kept = WantedNodes::of(&below, |below| below.level > 0);
        let levels: Vec<i16> = kept.below.iter().map(|below| below.level.into()).collect();
        let (first, last) = kept.bounds();
        self.collect(NODES, &[&kept.at, &levels, &first, &last], &mut found).await?;
        let leaves = WantedNodes::of(&below, |below| below.level == 0);
        let (first, last) = leaves.bounds();
        self.collect(LEAVES, &[&leaves.at, &first, &last], &mut found).await?;
        let hash =
            |((node, below), found): ((&TreeNode, &TreeNodeInputs), &Vec<Digest>)| Some((*node, below.hash(found)?));
        let hashes: Option<_> = nodes.iter().zip(&below).zip(&found).map(hash).collect();
        Ok(hashes.ok_or(TreeQueryError::Missing)?)
    }

    async fn collect(
        &self,
        query: &str,
        asked: &[&(dyn ToSql + Sync)],
        found: &mut [Vec<Digest>],
    ) -> Result<(), Error> {
        let place = |row: &Row| usize::try_from(row.get::<_, i64>(0)).ok();
        for row in &self.rows(query, asked).await? {
            let hash = Digest::try_from(row.get::<_, &[u8]>(1)).map_err(|_| TreeQueryError::Missing)?;
            if let Some(found) = place(row).and_then(|at| found.get_mut(at)) {
                found.push(hash);
            }
        }
        Ok(())
    }
}

/// Those of one kind, with their places among all.
struct WantedNodes<'a> {
    at: Vec<i64>,
    below: Vec<&'a TreeNodeInputs>,
}

impl<'a> WantedNodes<'a> {
    fn of(below: &'a [TreeNodeInputs], is_wanted: impl Fn(&TreeNodeInputs) -> bool) -> Self {
        let wanted = below.iter().enumerate().filter(|(_, below)| is_wanted(below));
        let (at, below) = wanted.map(|(at, below)| (rows::signed(at as u64), below)).unzip();
        Self { at, below }
    }

    fn bounds(&self) -> (Vec<i64>, Vec<i64>) {
        self.below.iter().map(|below| (rows::signed(below.first), rows::signed(below.last))).unzip()
    }
}
