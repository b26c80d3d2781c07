//! The parts of a server that say who may come into NATS, as far as it has the keys for them.

use bus::bus_folder::{BusFolder, CentreUser};
use bus::options::NatsOptions;
use tls::plain::PlainOption;

use super::answerer::Answerer;
use super::judgement::OpenPassword;
use super::warden::Warden;
use crate::backend;
use crate::config::BusOptions;

/// The answerer and the warden.
#[derive(Debug, Default)]
pub struct Admission {
    /// Answers nats-server.
    pub answerer: Option<Answerer>,
    /// Cuts connections.
    pub warden: Option<Warden>,
}

impl Admission {
    /// Reads the keys, and starts to connect.
    ///
    /// # Errors
    /// If a file of the folder can't be used, or the URL of NATS is malformed.
    pub async fn connect(options: &BusOptions, nats: &NatsOptions, plain: PlainOption) -> Result<Self, backend::Error> {
        let Some(dir) = &options.bus_dir else { return Ok(Self::default()) };
        let folder = BusFolder::at(dir);
        let answerer = match (folder.identity(CentreUser::Answerer)?, folder.secret(CentreUser::Issuer)?) {
            (Some(identity), Some(issuer)) => {
                let link = nats.connect_as::<backend::Error>(plain, &identity, "headwater answerer").await?;
                let open = folder.open_password()?.map(|(user, password)| OpenPassword { user, password });
                Some(Answerer { link, issuer, prefix: nats.nats_prefix.clone(), open })
            }
            _ => None,
        };
        let warden = match folder.identity(CentreUser::Warden)? {
            Some(identity) => {
                Some(Warden { link: nats.connect_as::<backend::Error>(plain, &identity, "headwater warden").await? })
            }
            None => None,
        };
        Ok(Self { answerer, warden })
    }
}
