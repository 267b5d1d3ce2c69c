//! What is written back to the cluster, and as who.

use plenipo_status::{Options, Publication};

use super::Place;
use crate::arguments::StatusArguments;
use crate::environment::Environment;

/// None where nothing is written: there is no cluster, or nobody wants it.
pub(super) fn read(
    arguments: &StatusArguments,
    environment: &Environment,
    place: &Place,
    translation: &plenipo_translate::Options,
) -> Option<Options> {
    if arguments.no_status || !matches!(place, Place::Cluster(..)) {
        return None;
    }
    let identity = match environment.value("POD_NAME") {
        Some(pod) => pod.to_owned(),
        // Of several on one machine each has to be somebody.
        None => format!("{}-{}", environment.value("HOSTNAME").unwrap_or("localhost"), std::process::id()),
    };
    let (service, addresses) = (arguments.publish_service.clone(), arguments.publish_address.clone());
    Some(Options {
        publication: Publication { service, addresses },
        writes_per_second: arguments.status_rate,
        write_burst: arguments.status_burst,
        ..Options::new(&translation.ambassador_id, &translation.namespace, identity)
    })
}
