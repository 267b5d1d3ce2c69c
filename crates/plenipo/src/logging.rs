//! Log lines: their form, and their level, which can be changed while running.

use std::io::IsTerminal;

use plenipo_admin::LogLevel;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::arguments::LogFormat;
use crate::exit::Ending;

/// Starts logging to standard error (standard output is the access log's) and gives the handle to the level.
///
/// # Errors
/// When the filter makes no sense.
pub(crate) fn start(format: LogFormat, filter: &str) -> anyhow::Result<LogLevel> {
    let parsed = parse(filter).map_err(|why| Ending::usage(format!("log filter {filter:?}: {why}")))?;
    let (filter, handle) = reload::Layer::new(parsed);
    let colours = std::io::stderr().is_terminal();
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => fmt::layer::<Registry>()
            .with_writer(std::io::stderr)
            .with_ansi(colours)
            .with_target(false)
            .boxed(),
        LogFormat::Json => fmt::layer::<Registry>().with_writer(std::io::stderr).json().boxed(),
    };
    // The client of the API server says of every attempt what we say once, and of an answer that it cannot read the whole
    // text, which may be a Secret's.
    let lines = lines.with_filter(filter_fn(|metadata| !metadata.target().starts_with("kube_client")));
    // In this order the filter sits above the lines and decides for them.
    tracing_subscriber::registry().with(lines).with(filter).try_init()?;
    let reading = handle.clone();
    Ok(LogLevel::new(
        move || reading.with_current(ToString::to_string).unwrap_or_default(),
        move |text| {
            let filter = parse(text)?;
            handle.reload(filter).map_err(|error| error.to_string())
        },
    ))
}

/// A level or a filter. `warning` and `critical` are levels of Emissary's that tracing does not know.
fn parse(text: &str) -> Result<EnvFilter, String> {
    let text = match text.to_ascii_lowercase().as_str() {
        "" => return Err("it is empty".to_owned()),
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        "error" | "warn" | "info" | "debug" | "trace" | "off" => text.to_ascii_lowercase(),
        word if word.chars().all(char::is_alphanumeric) => return Err(format!("{word:?} is not a level")),
        _ => text.to_owned(),
    };
    EnvFilter::try_new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters() {
        assert_eq!(parse("INFO").unwrap().to_string(), "info");
        assert_eq!(parse("warning").unwrap().to_string(), "warn");
        assert!(parse("warn,plenipo_proxy=debug").is_ok());
        assert!(parse("").is_err());
        assert!(parse("loud").is_err());
        assert!(parse("a=b=c").is_err());
    }
}
