//! Metrics that share a name and differ in their labels, written in the order of the labels.
//!
//! What always holds: two scrapes of the same values are the same text, and a metric is named before it has its first value. The
//! family of `prometheus_client` is a hash map: it has another order in each process, and is left out while it is empty.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Clones share their metrics.
#[derive(Clone, Debug)]
pub(crate) struct LabelledMetrics<L, M> {
    metrics: Arc<RwLock<BTreeMap<L, M>>>,
    new: fn() -> M,
}

impl<L: Clone + Ord, M: Clone> LabelledMetrics<L, M> {
    /// A family whose metrics are made by `new`.
    pub(crate) fn of(new: fn() -> M) -> Self {
        Self { metrics: Arc::default(), new }
    }

    /// The metric with these labels; a clone shares its value.
    pub(crate) fn with(&self, labels: &L) -> M {
        if let Some(metric) = self.metrics.read().unwrap_or_else(PoisonError::into_inner).get(labels) {
            return metric.clone();
        }
        let mut metrics = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        metrics.entry(labels.clone()).or_insert_with(self.new).clone()
    }
}

impl<L: Clone + Ord, M: Clone + Default> Default for LabelledMetrics<L, M> {
    fn default() -> Self {
        Self::of(M::default)
    }
}

impl<L, M> EncodeMetric for LabelledMetrics<L, M>
where
    L: EncodeLabelSet + Debug + Ord,
    M: EncodeMetric + TypedMetric,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let metrics = self.metrics.read().unwrap_or_else(PoisonError::into_inner);
        metrics.iter().try_for_each(|(labels, metric)| metric.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        false
    }
}
