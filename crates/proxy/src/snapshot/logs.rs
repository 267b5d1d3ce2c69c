//! Access logs: one writer for a path, one formatter for a format, kept over snapshots.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use plenipo_model::AccessLog;

use crate::access_log::{Formatter, LogWriter};

/// Where and how the requests of a server are reported.
pub(crate) struct Log {
    pub(crate) formatter: Formatter,
    pub(crate) writer: Arc<LogWriter>,
}

/// The access logs of a snapshot.
#[derive(Default)]
pub(crate) struct LogSinks {
    writers: HashMap<String, Arc<LogWriter>>,
    logs: Vec<(Arc<AccessLog>, Arc<Log>)>,
}

impl LogSinks {
    /// The log of this model: opened here already, taken over from before, or new.
    pub(crate) fn open(&mut self, model: &Arc<AccessLog>, before: Option<&Self>) -> io::Result<Arc<Log>> {
        if let Some((_, log)) = self.logs.iter().find(|(known, _)| known == model) {
            return Ok(Arc::clone(log));
        }
        let known = before.and_then(|before| before.logs.iter().find(|(known, _)| known == model));
        let log = match known {
            Some((_, log)) => Arc::clone(log),
            None => {
                let writer = self.writers.get(&model.path).or_else(|| before?.writers.get(&model.path));
                let writer = match writer {
                    Some(writer) => Arc::clone(writer),
                    None => Arc::new(LogWriter::open(&model.path)?),
                };
                Arc::new(Log { formatter: Formatter::new(&model.format), writer })
            }
        };
        self.writers.insert(model.path.clone(), Arc::clone(&log.writer));
        self.logs.push((Arc::clone(model), Arc::clone(&log)));
        Ok(log)
    }

    /// Opens all files anew (after a log rotation).
    pub(crate) fn reopen(&self) {
        self.writers.values().for_each(|writer| writer.reopen());
    }

    /// Waits (not for long) until all lines are written.
    pub(crate) fn flush(&self) {
        self.writers.values().for_each(|writer| writer.flush());
    }

    /// Lines lost so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.writers.values().map(|writer| writer.dropped()).sum()
    }
}
