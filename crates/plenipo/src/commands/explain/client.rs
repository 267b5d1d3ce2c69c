//! Who the client is and how it came, as the gateway believes.

use http::HeaderValue;
use plenipo_model::Forwarding;
use plenipo_proxy::fields::Fields;
use plenipo_proxy::request::{Client, Peer, client};

use super::Request;

/// What is believed, and why.
pub(super) struct Believed {
    pub(super) client: Client,
    /// The request's headers, with what the proxies in front are taken to add where nothing else was said.
    pub(super) headers: Fields,
    pub(super) address: String,
    pub(super) scheme: String,
}

impl Believed {
    /// By the rules of the chain; `tls` tells whether the connection to the gateway is TLS.
    pub(super) fn by(rules: Forwarding, request: &Request, tls: bool) -> Self {
        let trusted = rules.believes();
        let mut headers = request.headers.clone();
        let said = headers.contains_key("x-forwarded-for");
        let place = rules.place_of_client();
        if trusted && !said && !request.balanced {
            headers.insert("x-forwarded-for", said_of_client(request, place));
        }
        let stated = headers.contains_key("x-forwarded-proto");
        if trusted && !stated && !request.balanced {
            let scheme = if request.tls { "https" } else { "http" };
            headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
        }
        let believed = client(rules, &headers, Peer { address: request.peer, tls });
        let address = match (trusted, said) {
            (false, _) => "the peer; x-forwarded-for of clients is not believed".to_owned(),
            (true, false) if request.balanced => "the peer; no x-forwarded-for came".to_owned(),
            (true, false) => "as the load balancer in front says".to_owned(),
            (true, true) => {
                format!(
                    "place {place} from the right of x-forwarded-for, or the peer when no address is there"
                )
            }
        };
        let scheme = match (trusted, stated, believed.scheme) {
            (false, _, _) => "as the connection; x-forwarded-proto of clients is not believed",
            (true, false, _) if request.balanced => "as the connection; no x-forwarded-proto came",
            (true, false, _) => "as the load balancer in front says",
            (true, true, Some("https")) => "as x-forwarded-proto says",
            (true, true, _) => "x-forwarded-proto does not say https",
        };
        Self { address, scheme: scheme.to_owned(), client: believed, headers }
    }
}

/// The first of the trusted proxies tells the client, so that it comes to stand in this place; each other one the proxy
/// before it.
fn said_of_client(request: &Request, place: u32) -> HeaderValue {
    let mut list = request.from.to_string();
    for _ in 1..place {
        list.push_str(&format!(", {}", request.peer));
    }
    HeaderValue::from_str(&list).expect("addresses are visible ASCII")
}
