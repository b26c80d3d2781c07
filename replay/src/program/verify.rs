//! `headwater-replay verify`: whether a log is valid, or the first finding.

use serde_json::json;

use super::file_audit::{NoObserver, read};
use super::options::Options;
use super::output::{RunError, print, print_json, table};

/// Verifies the files.
pub(crate) fn run(options: &Options) -> Result<(), RunError> {
    let mut audit = options.how.audit()?;
    let parts = read(&options.files, &mut audit, &mut NoObserver)?;
    let Some((log_id, key)) = audit.log() else { return Err(RunError::Nothing("there is no log".into())) };
    let (position, tally, key) = (audit.position(), audit.tally(), hex::encode(key.as_bytes()));
    let signed = tally.signed.map(|signed| signed.position).unwrap_or_default();
    let unsigned = position.get() - signed.get();
    let is_trusted = options.how.trust.is_some();
    if options.how.json {
        let files = parts.iter().map(|part| {
            json!({
                "file": part.path, "from": part.header.from, "to": part.header.to, "bytes": part.bytes,
                "sha256": part.digest,
            })
        });
        return print_json(&json!({
            "ok": true, "log_id": log_id, "position": position, "root": audit.root(), "key": key, "trusted": is_trusted,
            "checkpoints": tally.checkpoints, "signed": signed, "unsigned": unsigned, "blobs": tally.blobs,
            "blob_bytes": tally.blob_bytes, "files": files.collect::<Vec<_>>(),
        }));
    }
    let mut rows = vec![
        ["log".into(), log_id.to_string()].to_vec(),
        ["events".into(), format!("1 to {position}, all sealed, in order, and folded")].to_vec(),
        ["root".into(), audit.root().to_string()].to_vec(),
        [
            "signed".into(),
            format!("up to {signed} by {} checkpoints; {unsigned} events after it are not yet", tally.checkpoints),
        ]
        .to_vec(),
        [
            "key".into(),
            format!(
                "{key}{}",
                if is_trusted { ", which is trusted" } else { ", by the file's own word: give --trust" }
            ),
        ]
        .to_vec(),
        ["contents".into(), format!("{} of {} bytes, each as its digest says", tally.blobs, tally.blob_bytes)].to_vec(),
    ];
    rows.extend(parts.iter().map(|part| ["file".into(), format!("{} {}", part.digest, part.path.display())].to_vec()));
    print(&table(&rows))
}
