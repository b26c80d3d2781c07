//! Which items of a list are shown, where the server has no filter of its own.

use schema::labels::Labels;
use schema::target::Selector;
use serde_json::Value;

use super::natural_order;

/// What an item must have.
#[derive(Clone, Debug, Default)]
pub(super) struct ListFilter {
    pub(super) selector: Option<Selector>,
    pub(super) state: Option<String>,
}

impl ListFilter {
    /// Whether an item is shown.
    pub(super) fn lets_through(&self, item: &Value) -> bool {
        let is_state = self.state.as_ref().is_none_or(|state| item["state"] == state.as_str());
        is_state && self.selector.as_ref().is_none_or(|selector| selector.matches(&labels(item)))
    }
}

fn labels(item: &Value) -> Labels {
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    item["labels"].as_object().into_iter().flatten().filter_map(text).collect()
}

/// Sorts items by what names them.
pub(super) fn sort(items: &mut [Value], pointer: &str) {
    let name = |item: &Value| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    items.sort_by(|one, other| natural_order::compare(&name(one), &name(other)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_item_has_the_labels_and_the_state_or_is_left_out() {
        let item = json!({"id": "n-1", "state": "failed", "labels": {"site": "lund", "rack": "a"}});
        for (selector, state, shown) in [
            (None, None, true),
            (Some("site=lund,rack in (a,b),!spare,rack!=c"), None, true),
            (Some("site=lund,rack"), Some("failed"), true),
            (Some("site!=lund"), None, false),
            (Some("spare"), None, false),
            (None, Some("converged"), false),
        ] {
            let selector = selector.map(|text| text.parse().expect("a selector"));
            let filter = ListFilter { selector, state: state.map(str::to_owned) };
            assert_eq!(filter.lets_through(&item), shown, "{filter:?}");
        }
    }

    #[test]
    fn items_are_sorted_as_people_count() {
        let mut items: Vec<Value> = ["n-10", "n-9", "n-1"].map(|id| json!({ "id": id })).to_vec();
        sort(&mut items, "/id");
        assert_eq!(items, ["n-1", "n-9", "n-10"].map(|id| json!({ "id": id })));
    }
}
