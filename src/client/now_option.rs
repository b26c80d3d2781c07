//! The option by which a request passes over what keeps people from mistakes.

/// Whether the request says `now`.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct NowOption {
    /// Change files of more nodes than the guard allows, or put again what an aborted rollout took back. Needs a reason.
    #[arg(long)]
    pub(crate) now: bool,
}
