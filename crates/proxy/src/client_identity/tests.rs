use super::*;
use crate::fields::Fields;
use crate::sample::{certified_connection, connection, headers};

fn rules(fields: ClientCertificateFields, required: bool) -> CompiledIdentity {
    let from = vec!["10.0.0.0/8".parse().expect("valid"), "203.0.113.0/24".parse().expect("valid")];
    let model = Arc::new(ForwardedIdentity { from, fields, roots: None, required });
    CompiledIdentity { model, check: Check::Nobody }
}

/// As AWS encodes it: `+`, `=` and `/` stay.
fn encoded() -> String {
    let connection = certified_connection();
    let pem = crate::client_certificate::url_encoded_pem(connection.shown().expect("one").chain);
    pem.replace("%2B", "+").replace("%3D", "=").replace("%2F", "/")
}

#[test]
fn a_chain_is_read_as_it_was_shown() {
    let rules = rules(ClientCertificateFields::passthrough(), true);
    let shown = headers(&[("X-Amzn-Mtls-Clientcert", &encoded())]);
    let identity = rules.judge(true, None, &shown).expect("taken").expect("known");
    let connection = certified_connection();
    let direct = connection.shown().expect("one");
    assert_eq!((&identity.client, identity.chain.as_slice()), (direct.client, direct.chain));
    assert_eq!(rules.judge(false, None, &shown), Err(MISSING), "not from anybody");
}

#[test]
fn what_a_verifying_balancer_says_is_taken_as_told() {
    let fields = |leaf: &str| {
        let mut told = headers(&[
            ("x-amzn-mtls-clientcert-serial-number", "0ABC"),
            ("x-amzn-mtls-clientcert-issuer", "CN=ca,O=Co"),
            ("x-amzn-mtls-clientcert-subject", "CN=client"),
            (
                "x-amzn-mtls-clientcert-validity",
                "NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-09-20T01:50:17Z",
            ),
        ]);
        if !leaf.is_empty() {
            told.replace(headers(&[("x-amzn-mtls-clientcert-leaf", leaf)]));
        }
        told
    };
    let rules = rules(ClientCertificateFields::verified(), true);
    let identity = rules.judge(true, None, &fields("")).expect("taken").expect("known");
    let client = &identity.client;
    assert_eq!(
        (client.serial.as_str(), client.issuer.as_str(), client.subject.as_str()),
        ("0abc", "CN=ca,O=Co", "CN=client")
    );
    let identity = rules.judge(true, None, &fields(&encoded())).expect("taken").expect("known");
    assert_eq!(Some(&identity.client), certified_connection().shown().map(|shown| shown.client));
    assert_eq!(rules.judge(true, None, &fields("-----BEGIN%20CERT")), Err(MALFORMED));
    assert_eq!(rules.judge(true, None, &Fields::new()), Err(MISSING));
}

#[test]
fn what_is_no_certificate_is_refused_and_nothing_is_nothing() {
    let rules = rules(ClientCertificateFields::passthrough(), false);
    assert_eq!(rules.judge(true, None, &Fields::new()), Ok(None));
    let long = encoded().repeat(MAX_CHAIN);
    let garbage = "-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----%0A";
    for bad in ["", "%", "%00", "-----BEGIN%20CERTIFICATE-----%0AMII", garbage, &long] {
        let told = headers(&[("x-amzn-mtls-clientcert", bad)]);
        assert_eq!(rules.judge(true, None, &told), Err(MALFORMED), "{bad:.40}");
    }
    let twice = headers(&[("x-amzn-mtls-clientcert", &encoded()), ("x-amzn-mtls-clientcert", &encoded())]);
    assert_eq!(rules.judge(true, None, &twice), Err(MALFORMED));
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_remembered_for_a_time() {
    let rules = rules(ClientCertificateFields::passthrough(), false);
    let remembered = Remembered::default();
    let told = headers(&[("x-amzn-mtls-clientcert", &encoded())]);
    let ask = || rules.judge(true, Some(&remembered), &told).expect("taken").expect("known");
    let first = ask();
    assert!(Arc::ptr_eq(&first, &ask()));
    tokio::time::advance(REMEMBERED_FOR).await;
    assert!(!Arc::ptr_eq(&first, &ask()));
    assert!(remembered.find(&Arc::new((*rules.model).clone()), &told["x-amzn-mtls-clientcert"]).is_none());
    for number in 0..2 * REMEMBERED {
        remembered.add(&rules.model, &HeaderValue::from(number), &first);
    }
    assert_eq!(remembered.0.borrow().len(), REMEMBERED);
}

#[test]
fn fields_that_nobody_reads_pass_from_those_believed_only() {
    let rules = rules(ClientCertificateFields::None, false);
    assert!(!rules.tells());
    for (peer, passed) in [("203.0.113.7:1", 1), ("192.0.2.1:1", 0)] {
        let at = |text: &str| text.parse().expect("an address");
        let connection = Connection { peer: at(peer), ..connection() };
        let mut sent = headers(&[("x-amzn-mtls-clientcert", "anything"), ("x-other", "1")]);
        let taken = rules.take(&connection, &Remembered::default(), &mut sent).expect("nothing to refuse");
        assert_eq!((taken.identity, taken.fields.len(), sent.len()), (None, passed, 1));
    }
}

#[test]
fn look_alikes_of_renamed_fields_pass_from_nobody() {
    let name = HeaderName::from_static("x-client_cert");
    let rules = rules(ClientCertificateFields::Passthrough { name }, false);
    for (peer, passed) in [("203.0.113.7:1", 1), ("192.0.2.1:1", 0)] {
        let connection = Connection { peer: crate::sample::address(peer), ..connection() };
        let certificate = encoded();
        let sent = [("x-client_cert", &*certificate), ("x_client_cert", "a"), ("X-Client-Cert", "b")];
        let mut headers =
            headers(&[&sent[..], &[("x_amzn_mtls_clientcert", "c"), ("x-other", "d")]].concat());
        let taken = rules.take(&connection, &Remembered::default(), &mut headers).expect("none required");
        assert_eq!((taken.identity.is_some(), taken.fields.len()), (passed == 1, passed));
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-other"]);
    }
}

#[test]
fn both_the_peer_and_whom_its_proxy_header_names_must_be_believed() {
    let rules = rules(ClientCertificateFields::passthrough(), false);
    let sent = [("x-amzn-mtls-clientcert", encoded()), ("x-amzn-mtls-clientcert-leaf", "a".to_owned())];
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (direct, peer, believed) in [
        ("10.0.0.9:1", "203.0.113.7:1", true),
        ("192.0.2.1:1", "203.0.113.7:1", false),
        ("10.0.0.9:1", "192.0.2.1:1", false),
        ("[::ffff:10.0.0.9]:1", "10.0.0.9:1", true),
    ] {
        let at = |text: &str| text.parse().expect("an address");
        let connection = Connection { direct: at(direct), peer: at(peer), ..connection() };
        let mut headers = headers(&sent);
        let taken = rules.take(&connection, &Remembered::default(), &mut headers).expect("none required");
        assert_eq!((taken.identity.is_some(), taken.fields.len()), (believed, if believed { 2 } else { 0 }));
        assert!(headers.is_empty());
    }
}
