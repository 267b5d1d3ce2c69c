//! `plenipo run`: serve until told to stop.

use plenipo_admin::Server;

use crate::arguments::RunArguments;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::settings::{Logging, Settings};
use crate::{app, logging};

/// Serves what the directory says.
pub(crate) fn run(arguments: &RunArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let settings = Settings::new(arguments, environment)?;
    let Logging { format, filter } = Logging::new(arguments, environment);
    let log_level = logging::start(format, &filter)?;
    app::runtime()?.block_on(async {
        let admin = Server::bind(settings.admin).await.map_err(|error| {
            anyhow::anyhow!(
                "the admin address {}; --admin takes another",
                app::bind_failure(settings.admin, &error)
            )
        })?;
        app::serve(settings, admin, log_level, |_, balancers| {
            if let Some(balancers) = balancers {
                // Standard output is the access log's.
                eprintln!("{}", balancers.report());
            }
            Ok(())
        })
        .await
    })
}
