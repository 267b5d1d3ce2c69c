//! Attributes of the load balancer.

use std::collections::BTreeMap;

use super::Request;
use crate::annotations::boolean;
use crate::build_error::BuildError;

const CROSS_ZONE: &str = "aws-load-balancer-cross-zone-load-balancing-enabled";
const ACCESS_LOG: &str = "aws-load-balancer-access-log-enabled";
const BUCKET: &str = "aws-load-balancer-access-log-s3-bucket-name";
const BUCKET_PREFIX: &str = "aws-load-balancer-access-log-s3-bucket-prefix";

impl Request<'_> {
    /// All of them are always set: an annotation that goes away brings the default back.
    pub(super) fn classic_attributes(&self) -> Result<BTreeMap<String, String>, BuildError> {
        const DRAINING: &str = "aws-load-balancer-connection-draining-enabled";
        const DRAINING_TIME: &str = "aws-load-balancer-connection-draining-timeout";
        const IDLE: &str = "aws-load-balancer-connection-idle-timeout";
        const EMIT: &str = "aws-load-balancer-access-log-emit-interval";
        let mut attributes = BTreeMap::new();
        let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value);
        set("load_balancing.cross_zone.enabled", self.flag(CROSS_ZONE)?.unwrap_or(false).to_string());
        set("connection_draining.enabled", self.flag(DRAINING)?.unwrap_or(false).to_string());
        if let Some(seconds) = self.whole(DRAINING_TIME, 1..=3600)? {
            set("connection_draining.timeout_seconds", seconds.to_string());
        }
        set("idle_timeout.timeout_seconds", self.whole(IDLE, 1..=4000)?.unwrap_or(60).to_string());
        set("access_logs.s3.enabled", self.flag(ACCESS_LOG)?.unwrap_or(false).to_string());
        if let Some(minutes) = self.whole(EMIT, 5..=60)? {
            set("access_logs.s3.emit_interval", minutes.to_string());
        }
        for (suffix, key) in [(BUCKET, "access_logs.s3.bucket"), (BUCKET_PREFIX, "access_logs.s3.prefix")] {
            if let Some(value) = self.annotations.text(suffix) {
                set(key, value.to_owned());
            }
        }
        Ok(attributes)
    }

    pub(super) fn network_attributes(&self) -> Result<BTreeMap<String, String>, BuildError> {
        let mut attributes = BTreeMap::new();
        let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value);
        set("load_balancing.cross_zone.enabled", self.flag(CROSS_ZONE)?.unwrap_or(false).to_string());
        let logs = self.flag(ACCESS_LOG)?.unwrap_or(false);
        set("access_logs.s3.enabled", logs.to_string());
        for (suffix, key) in [(BUCKET, "access_logs.s3.bucket"), (BUCKET_PREFIX, "access_logs.s3.prefix")] {
            if let Some(value) = self.annotations.text(suffix).filter(|_| logs) {
                set(key, value.to_owned());
            }
        }
        Ok(attributes)
    }

    fn flag(&self, suffix: &str) -> Result<Option<bool>, BuildError> {
        let read = |raw| boolean(raw).ok_or_else(|| self.unreadable(suffix, raw));
        self.annotations.text(suffix).map(read).transpose()
    }

    /// A whole number; one that AWS would refuse is refused here.
    pub(super) fn whole(
        &self,
        suffix: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, BuildError> {
        let Some(raw) = self.annotations.text(suffix) else { return Ok(None) };
        let number: u32 = raw.parse().map_err(|_| self.unreadable(suffix, raw))?;
        if range.contains(&number) {
            return Ok(Some(number));
        }
        let (low, high) = (range.start(), range.end());
        Err(self.fault(suffix, format!("{number} is not between {low} and {high}")))
    }

    fn unreadable(&self, suffix: &str, raw: &str) -> BuildError {
        let key = format!("{}/{suffix}", crate::annotations::SERVICE);
        self.fault(suffix, format!("error parsing service annotation: {key}={raw}"))
    }
}
