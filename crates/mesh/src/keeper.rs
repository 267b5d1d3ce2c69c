//! Keeps an identity valid.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plenipo_model::MeshIdentity;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::{AuthorityAddress, Origin, authority, files};

/// The identity that is valid now; none until there is one, and none again when the last one has expired.
pub type Identity = Option<Arc<MeshIdentity>>;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Waits after failures: this long, then twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Keeps an identity valid for as long as somebody holds the receiver. Certificates of an authority are renewed when half of
/// their time is over, a little earlier or later, so that replicas started together do not ask together.
pub fn keep(origin: Origin) -> watch::Receiver<Identity> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let keeper = Keeper { sender };
        match origin {
            Origin::Files(directory) => keeper.follow(&directory).await,
            Origin::Authority(address) => keeper.renew(address).await,
        }
    });
    receiver
}

struct Keeper {
    sender: watch::Sender<Identity>,
}

impl Keeper {
    /// Looks again and again.
    async fn follow(self, directory: &Path) {
        let mut told = String::new();
        while !self.sender.is_closed() {
            match files::read(directory) {
                Ok(identity) => {
                    told.clear();
                    self.take(identity);
                }
                Err(error) => {
                    // Half a rotation looks like this too; once for each reason is enough.
                    let text = error.to_string();
                    if text != told {
                        tracing::warn!("mesh identity: {text}");
                        told = text;
                    }
                    self.drop_expired();
                }
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.sender.closed() => {}
            }
        }
    }

    /// Asks, and asks again in time.
    async fn renew(self, address: AuthorityAddress) {
        let mut wait = FIRST_WAIT;
        while !self.sender.is_closed() {
            let pause = match authority::obtain(&address).await {
                Ok(identity) => {
                    wait = FIRST_WAIT;
                    let pause = until_renewal(&identity, now());
                    self.take(identity);
                    pause
                }
                Err(error) => {
                    tracing::warn!("mesh identity: {error}; trying again in {wait:?}");
                    self.drop_expired();
                    let next = (wait * 2).min(LONGEST_WAIT);
                    std::mem::replace(&mut wait, next)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.sender.closed() => {}
            }
        }
    }

    fn take(&self, identity: MeshIdentity) {
        self.sender.send_if_modified(|known| {
            if known.as_deref() == Some(&identity) {
                return false;
            }
            tracing::info!(id = identity.id, not_after = identity.certificate.not_after(), "mesh identity");
            *known = Some(Arc::new(identity));
            true
        });
    }

    fn drop_expired(&self) {
        self.sender.send_if_modified(|known| {
            let expired = known.as_ref().is_some_and(|known| known.certificate.not_after() < now());
            if expired {
                tracing::error!("mesh identity: the certificate has expired, and there is no new one");
                *known = None;
            }
            expired
        });
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Until half of the certificate's time is over, give or take a tenth of it.
fn until_renewal(identity: &MeshIdentity, now: i64) -> Duration {
    let certificate = &identity.certificate;
    let whole = certificate.not_after().saturating_sub(certificate.not_before()).max(0);
    // The certificate is as good a source of chance as any, and another one for every replica and renewal.
    let chance = certificate.chain().first().and_then(|leaf| leaf.last()).copied().unwrap_or_default();
    let tenth = whole / 10;
    let at = certificate.not_before() + whole / 2 - tenth + 2 * tenth * i64::from(chance) / 255;
    let rest = u64::try_from(at.saturating_sub(now)).unwrap_or_default();
    Duration::from_secs(rest).max(FIRST_WAIT)
}

#[cfg(test)]
mod tests;
