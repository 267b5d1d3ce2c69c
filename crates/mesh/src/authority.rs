//! A client of istiod's certificate authority: `istio.v1.auth.IstioCertificateService` (istio.io/api,
//! `security/v1alpha1/ca.proto`).

use std::time::Duration;

use plenipo_model::{Certificate, CertificateError, MeshIdentity, MeshIdentityError, RootStore};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate as Pem, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::{AuthorityAddress, Error};

/// For connecting, and again for the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer taken: a chain is a few certificates.
const LARGEST_ANSWER: usize = 256 * 1024;

#[derive(Clone, PartialEq, prost::Message)]
struct IstioCertificateRequest {
    /// PEM.
    #[prost(string, tag = "1")]
    csr: String,
    /// Seconds.
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IstioCertificateResponse {
    /// PEM; the leaf first, the root last.
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

/// Makes a key and has it signed.
pub(crate) async fn obtain(address: &AuthorityAddress) -> Result<MeshIdentity, Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(address.id.as_str().try_into()?)];
    let csr = params.serialize_request(&key)?.pem()?;
    let validity_duration = i64::try_from(address.lifetime.as_secs()).unwrap_or(i64::MAX);
    let answer = ask(address, IstioCertificateRequest { csr, validity_duration }).await?;
    let found = answer.cert_chain.len();
    let Some((root, chain @ [_, ..])) = answer.cert_chain.split_last() else {
        return Err(Error::Answer { url: address.url.clone(), found });
    };
    let certificate = Certificate::from_pem(chain.concat().as_bytes(), key.serialize_pem().as_bytes());
    let broken = |error: CertificateError| Error::Identity(MeshIdentityError::from(error));
    let roots = RootStore::from_pem(root.as_bytes()).map_err(broken)?;
    Ok(MeshIdentity::new(certificate.map_err(broken)?.into(), roots.into())?)
}

async fn ask(
    address: &AuthorityAddress,
    request: IstioCertificateRequest,
) -> Result<IstioCertificateResponse, Error> {
    let url = || address.url.clone();
    let bad = |error: &dyn std::error::Error| Error::Address { url: url(), why: chain_of(error) };
    let roots = Error::read(&address.roots)?;
    let tls = ClientTlsConfig::new().ca_certificate(Pem::from_pem(roots));
    let endpoint = Endpoint::from_shared(url()).map_err(|error| bad(&error))?;
    let endpoint = endpoint.tls_config(tls).map_err(|error| bad(&error))?;
    let endpoint = endpoint.connect_timeout(TIMEOUT).timeout(TIMEOUT);
    let unreachable = |error: &dyn std::error::Error| Error::Unreachable { url: url(), why: chain_of(error) };
    let channel = endpoint.connect().await.map_err(|error| unreachable(&error))?;

    let mut request = Request::new(request);
    request.metadata_mut().insert("authorization", bearer(address)?);
    if let Ok(cluster) = address.cluster.parse() {
        request.metadata_mut().insert("clusterid", cluster);
    }
    let path = PathAndQuery::from_static("/istio.v1.auth.IstioCertificateService/CreateCertificate");
    let codec: ProstCodec<IstioCertificateRequest, IstioCertificateResponse> = ProstCodec::default();
    let mut client = Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER);
    client.ready().await.map_err(|error| unreachable(&error))?;
    let answer = client.unary(request, path, codec).await;
    answer.map(tonic::Response::into_inner).map_err(|status| refused(address, &status))
}

/// The token, which no message ever shows.
fn bearer(address: &AuthorityAddress) -> Result<AsciiMetadataValue, Error> {
    let token = Error::read(&address.token)?;
    let text = String::from_utf8_lossy(&token);
    let mut value: AsciiMetadataValue = format!("Bearer {}", text.trim()).parse().map_err(|_| {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, "this is no token");
        Error::File { path: address.token.clone(), error }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn refused(address: &AuthorityAddress, status: &Status) -> Error {
    Error::Refused { url: address.url.clone(), why: format!("{}: {}", status.code(), status.message()) }
}

/// An error with what caused it: a transport's own message alone says nothing.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
