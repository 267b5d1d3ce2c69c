//! What a listener does with a request or connection.

use plenipo_resources::ObjectId;
use serde::Serialize;

/// One rule of an ALB's listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Rule {
    /// From 1; the lowest is tried first.
    pub priority: u32,
    /// The Ingress it comes from.
    pub source: ObjectId,
    /// Every one must hold.
    pub conditions: Vec<Condition>,
    /// What happens: authentications first, then one that answers.
    pub actions: Vec<Action>,
    /// Rewrites of host and URL.
    pub transforms: Vec<Transform>,
    /// Tags.
    pub tags: std::collections::BTreeMap<String, String>,
}

/// Values of a condition: any one must match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Values {
    /// `*` stands for any characters, `?` for one.
    Wildcards(Vec<String>),
    /// Regular expressions.
    Regexes(Vec<String>),
}

/// What a request must be like.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Condition {
    /// Its host, letters in any case.
    Host(Values),
    /// Its path, without the query.
    Path(Values),
    /// One of its headers.
    Header {
        /// Name of the header.
        name: String,
        /// Its value, letters in any case.
        values: Values,
    },
    /// Its method.
    Method(Vec<String>),
    /// One of its query parameters: key (none = any) and value.
    Query(Vec<(Option<String>, String)>),
    /// The address of the TCP peer.
    SourceIp(Vec<String>),
}

/// What happens to a request or connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Action {
    /// It goes to targets.
    Forward(Forward),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// An answer is made by the load balancer.
    FixedResponse {
        /// `2XX`, `4XX` or `5XX`.
        status: String,
        /// One of five text types.
        content_type: Option<String>,
        /// At most 1024 bytes.
        body: Option<String>,
    },
    /// The user signs in by OpenID Connect first. The settings, in AWS's JSON.
    AuthenticateOidc(serde_json::Value),
    /// The user signs in by Cognito first. The settings, in AWS's JSON.
    AuthenticateCognito(serde_json::Value),
    /// A token must be valid. The settings, in AWS's JSON.
    ValidateJwt(serde_json::Value),
}

/// Targets of a forward action.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Forward {
    /// At least one, at most five.
    pub targets: Vec<WeightedTarget>,
    /// The target group a client was sent to is kept for so many seconds; none = not said, `Some(None)` = said to be off.
    pub stickiness: Option<Option<u32>>,
    /// `decrypt` and other settings of NLB actions that are only carried, in AWS's JSON.
    pub other: Option<serde_json::Value>,
}

/// One target group of a forward action.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WeightedTarget {
    /// Which.
    pub target: TargetRef,
    /// 0–999; none = the only one.
    pub weight: Option<u32>,
}

/// A target group: one of the stack's, or somebody else's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum TargetRef {
    /// Key of [`super::Stack::target_groups`].
    Own(String),
    /// An ARN.
    Arn(String),
    /// A name in the account.
    Name(String),
}

/// A redirect; `#{protocol}`, `#{host}`, `#{port}`, `#{path}` (without its first slash) and `#{query}` stand for the
/// request's own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Redirect {
    /// `HTTP`, `HTTPS`, `#{protocol}`; none = the request's.
    pub protocol: Option<String>,
    /// None = the request's.
    pub host: Option<String>,
    /// None = the request's.
    pub port: Option<String>,
    /// None = the request's.
    pub path: Option<String>,
    /// None = the request's.
    pub query: Option<String>,
    /// `HTTP_301` or `HTTP_302`.
    pub status: String,
}

/// A rewrite before a request is forwarded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Transform {
    /// Every match in the host is replaced.
    Host(Vec<(String, String)>),
    /// Every match in path and query is replaced.
    Url(Vec<(String, String)>),
}
