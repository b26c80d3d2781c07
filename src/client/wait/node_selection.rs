//! Which nodes are waited for, and how they are read from the server.

use std::collections::{BTreeMap, BTreeSet};

use api::path::{IMPACT, NODES};
use schema::id::Id;
use schema::target::Selector;
use serde::Deserialize;

use super::awaited_entity::{AwaitedEntity, NodeStatusRow};
use crate::api_client::ApiClient;
use crate::error::Error;

/// So many nodes are asked for one by one; for more, the list of all nodes costs the server less.
const ONE_BY_ONE_MAX: usize = 8;

/// Which nodes are waited for.
#[derive(Clone, Debug)]
pub(super) enum NodeSelection {
    /// These, whether enrolled or not.
    Named(BTreeSet<Id>),
    /// Those with such labels, but the retired ones.
    Labelled(Selector),
    /// All but the retired ones.
    All,
    /// Those that a request concerned.
    Request(String),
}

/// What a request concerned, of the answer to `GET /v1/impact/{request}`.
#[derive(Deserialize)]
struct ConcernedNodes {
    position: u64,
    nodes: Vec<ChangedNode>,
    unchanged: BTreeSet<Id>,
}

#[derive(Deserialize)]
struct ChangedNode {
    node: Id,
}

impl NodeSelection {
    /// Whether at least one node must be found. A request may have concerned none.
    pub(super) fn needs_a_node(&self) -> bool {
        matches!(self, Self::Labelled(_) | Self::All)
    }

    /// The nodes as they are now. A request is looked up once: what it concerned does not change.
    pub(super) async fn read(&mut self, client: &ApiClient) -> Result<Vec<AwaitedEntity>, Error> {
        if let Self::Request(request) = self {
            *self = Self::Named(concerned_nodes(client, request).await?);
        }
        match self {
            Self::Named(ids) if ids.len() <= ONE_BY_ONE_MAX => one_by_one(client, ids).await,
            Self::Named(ids) => {
                let mut listed: BTreeMap<Id, NodeStatusRow> =
                    list(client).await?.into_iter().map(|status| (status.id.clone(), status)).collect();
                Ok(ids.iter().map(|id| AwaitedEntity { id: id.clone(), status: listed.remove(id) }).collect())
            }
            Self::Labelled(selector) => {
                let listed = list(client).await?.into_iter();
                let selected = listed.filter(|status| !status.retired && selector.matches(&status.labels));
                Ok(selected.map(AwaitedEntity::from).collect())
            }
            Self::All | Self::Request(_) => {
                let listed = list(client).await?.into_iter();
                Ok(listed.filter(|status| !status.retired).map(AwaitedEntity::from).collect())
            }
        }
    }
}

async fn list(client: &ApiClient) -> Result<Vec<NodeStatusRow>, Error> {
    client.list(NODES, &[]).await
}

async fn one_by_one(client: &ApiClient, ids: &BTreeSet<Id>) -> Result<Vec<AwaitedEntity>, Error> {
    let mut nodes = Vec::with_capacity(ids.len());
    for id in ids {
        let status = client.get_optional(&format!("{NODES}/{id}")).await?;
        nodes.push(AwaitedEntity { id: id.clone(), status });
    }
    Ok(nodes)
}

async fn concerned_nodes(client: &ApiClient, request: &str) -> Result<BTreeSet<Id>, Error> {
    let ConcernedNodes { position, nodes, unchanged } = client.get(&format!("{IMPACT}/{request}")).await?;
    client.has_reached(position);
    Ok(nodes.into_iter().map(|changed| changed.node).chain(unchanged).collect())
}
