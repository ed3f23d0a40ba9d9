//! Tests of digest authentication: the RFC's example, lifetimes, replays, damage.

use super::*;
use proptest::prelude::*;

const REALM: &str = "headwater";
const TARGET: &str = "/in/v2/demo/1/channel_1_00001.ts?a=b";
const START: WallClock = WallClock(1_700_000_000_000_000);

fn after(seconds: i64) -> WallClock {
    WallClock(START.0 + seconds * 1_000_000)
}

struct Server {
    authenticator: Authenticator,
    user: UserHashes,
}

impl Server {
    fn new(algorithms: &[Algorithm]) -> Self {
        let policy = DigestPolicy {
            algorithms: algorithms.to_vec(),
            realm: REALM.to_owned(),
            nonce_lifetime: NONCE_LIFETIME,
        };
        Self {
            authenticator: Authenticator::new(policy, &[9; 32]),
            user: UserHashes::new("encoder1", REALM, "secret"),
        }
    }

    fn nonce(&self, serial: u64) -> String {
        self.authenticator.keys.issue(Nonce { issued: START, serial })
    }

    fn judge(&self, field: &str, now: WallClock, connection_nonce: Option<&str>) -> Verdict {
        let request = SignedRequest { method: "PUT", target: TARGET, now, connection_nonce };
        self.authenticator
            .judge(Some(field), &request, |name| (name == "encoder1").then_some(&self.user))
    }
}

/// A client's side, with its deviations.
struct Client {
    algorithm: Algorithm,
    username: &'static str,
    password: &'static str,
    realm: &'static str,
    uri: &'static str,
    qop: &'static str,
    nonce: String,
    opaque: String,
    count: u32,
}

impl Client {
    fn new(server: &Server, algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            username: "encoder1",
            password: "secret",
            realm: REALM,
            uri: TARGET,
            qop: "auth",
            nonce: server.nonce(1),
            opaque: server.authenticator.keys.opaque().to_owned(),
            count: 1,
        }
    }

    fn field(&self) -> String {
        let Self { algorithm, username, password, realm, uri, qop, nonce, opaque, count } = self;
        let secret = algorithm.hash(&[username, realm, password]);
        let request = algorithm.hash(&["PUT", uri]);
        let count = format!("{count:08x}");
        let response = algorithm.hash(&[&secret, nonce, &count, "c0ffee", qop, &request]);
        format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", \
             uri=\"{uri}\", response=\"{response}\", algorithm=\"{}\", opaque=\"{opaque}\", \
             qop=\"{qop}\", cnonce=\"c0ffee\", nc={count}",
            algorithm.as_str()
        )
    }
}

const PLAIN: Verdict = Verdict::Challenge { stale: false };
const STALE: Verdict = Verdict::Challenge { stale: true };

fn is_accepted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accept { username, .. } if username == "encoder1")
}

#[test]
fn the_example_of_rfc_7616_section_3_9_1() {
    let example = |algorithm: &str, response: &str| {
        format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
             uri=\"/dir/index.html\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
             response=\"{response}\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    let hashes = UserHashes::new("Mufasa", "http-auth@example.org", "Circle of Life");
    let vectors = [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ];
    for (algorithm, response) in vectors {
        let fields = parse_authorization(&example(algorithm, response)).unwrap();
        let protection = fields.protection.clone().unwrap();
        assert_eq!(expected_response(&fields, &protection, "GET", &hashes), response);
    }
}

#[test]
fn a_right_digest_is_accepted_once() {
    for algorithm in Algorithm::ALL {
        let server = Server::new(&Algorithm::ALL);
        let client = Client::new(&server, algorithm);
        assert!(is_accepted(&server.judge(&client.field(), START, None)));
        assert_eq!(server.judge(&client.field(), START, None), STALE, "replay");
        assert_eq!(
            server.judge(&client.field(), START, Some(&client.nonce)),
            STALE,
            "replay on the connection"
        );
        let next = Client { count: 2, ..client };
        assert!(is_accepted(&server.judge(&next.field(), START, None)));
    }
}

#[test]
fn deviations_get_the_answer_that_lets_an_honest_client_recover() {
    let server = Server::new(&Algorithm::ALL);
    let client = || Client::new(&server, Algorithm::Md5);
    let foreign = NonceKeys::new(&[8; 32]);
    let other_nonce = foreign.issue(Nonce { issued: START, serial: 1 });
    let cases = [
        ("password", Client { password: "wrong", ..client() }, PLAIN),
        ("user", Client { username: "nobody", ..client() }, PLAIN),
        ("no user", Client { username: "", password: "", ..client() }, PLAIN),
        ("realm", Client { realm: "elsewhere", ..client() }, PLAIN),
        ("auth-int", Client { qop: "auth-int", ..client() }, PLAIN),
        ("nonce", Client { nonce: other_nonce.clone(), ..client() }, STALE),
        ("no nonce", Client { nonce: String::new(), ..client() }, STALE),
        ("both", Client { nonce: other_nonce, password: "wrong", ..client() }, PLAIN),
        ("opaque", Client { opaque: foreign.opaque().to_owned(), ..client() }, STALE),
        (
            "uri",
            Client { uri: "/in/v2/demo/2/x.ts", ..client() },
            Verdict::Refuse(DigestError::UriMismatch),
        ),
    ];
    for (what, client, expected) in cases {
        assert_eq!(server.judge(&client.field(), START, None), expected, "{what}");
    }
    let absolute = Client { uri: "http://h:8080/in/v2/demo/1/channel_1_00001.ts?a=b", ..client() };
    assert!(is_accepted(&server.judge(&absolute.field(), START, None)));
    let request =
        SignedRequest { method: "PUT", target: TARGET, now: START, connection_nonce: None };
    assert_eq!(server.authenticator.judge(None, &request, |_| None), PLAIN);
    assert_eq!(server.judge("Basic ZTpz", START, None), PLAIN);
}

#[test]
fn a_nonce_expires_except_where_it_is_in_use() {
    let server = Server::new(&[Algorithm::Md5]);
    let client = |count| Client { count, ..Client::new(&server, Algorithm::Md5) };
    let nonce = server.nonce(1);
    assert!(is_accepted(&server.judge(&client(1).field(), after(300), None)));
    assert_eq!(server.judge(&client(2).field(), after(301), None), STALE);
    let wrong = Client { password: "wrong", ..client(2) };
    assert_eq!(server.judge(&wrong.field(), after(301), None), PLAIN);
    assert!(is_accepted(&server.judge(&client(2).field(), after(86_400), Some(&nonce))));
    assert_eq!(server.judge(&client(3).field(), after(86_400), Some("other")), STALE);
}

#[test]
fn an_algorithm_that_is_not_offered_is_not_accepted() {
    let server = Server::new(&[Algorithm::Sha256]);
    let client = |algorithm| Client::new(&server, algorithm).field();
    assert_eq!(server.judge(&client(Algorithm::Md5), START, None), PLAIN);
    assert!(is_accepted(&server.judge(&client(Algorithm::Sha256), START, None)));
}

#[test]
fn a_digest_without_qop_is_challenged() {
    let server = Server::new(&[Algorithm::Md5]);
    let nonce = server.nonce(1);
    let secret = Algorithm::Md5.hash(&["encoder1", REALM, "secret"]);
    let request = Algorithm::Md5.hash(&["PUT", TARGET]);
    let response = Algorithm::Md5.hash(&[&secret, &nonce, &request]);
    let field = format!(
        "Digest username=\"encoder1\", realm=\"{REALM}\", nonce=\"{nonce}\", \
         uri=\"{TARGET}\", response=\"{response}\""
    );
    assert_eq!(server.judge(&field, START, None), PLAIN);
}

#[test]
fn challenges_come_one_a_line_in_the_order_of_the_policy() {
    let server = Server::new(&Algorithm::ALL);
    let nonce = Nonce { issued: START, serial: 3 };
    let lines = server.authenticator.challenges(nonce, true);
    let (text, opaque) = (server.nonce(3), server.authenticator.keys.opaque());
    let expected = ["SHA-256", "MD5"].map(|algorithm| {
        format!(
            "Digest realm=\"headwater\", qop=\"auth\", algorithm={algorithm}, \
             nonce=\"{text}\", opaque=\"{opaque}\", stale=true"
        )
    });
    assert_eq!(lines, expected);
    assert!(!server.authenticator.challenges(nonce, false)[1].contains("stale"));
}

#[test]
fn quoted_and_bare_parameters_are_read_alike() {
    let hash = "0".repeat(32);
    let quoted = parse_authorization(&format!(
        "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"{hash}\", \
         algorithm=\"MD5\", qop=\"auth\", nc=\"0000000A\", cnonce=\"c\", opaque=\"o\", new=\"x\""
    ));
    let bare = parse_authorization(&format!(
        "dIGEST ,,USERNAME = u ,realm=r,nonce=n,uri=\"\\/\",response={hash},algorithm=md5,qop=auth,\
         nc=0000000A,cnonce=c,opaque=o,"
    ));
    let fields = quoted.unwrap();
    assert_eq!(fields.protection.as_ref().unwrap().count, 10);
    assert_eq!(bare.unwrap(), fields);
}

#[test]
fn malformed_fields_are_refused() {
    let hash = "0".repeat(32);
    let base = format!("Digest username=u, realm=r, nonce=n, uri=\"/\", response={hash}");
    let cases = [
        (String::new(), DigestError::OtherScheme),
        ("Digest".to_owned(), DigestError::Missing { parameter: "response" }),
        ("Digest\tusername=u".to_owned(), DigestError::OtherScheme),
        ("Digest =u".to_owned(), DigestError::Syntax { offset: 7 }),
        ("Digest username".to_owned(), DigestError::Syntax { offset: 15 }),
        ("Digest username=".to_owned(), DigestError::Syntax { offset: 16 }),
        ("Digest username=\"u".to_owned(), DigestError::Syntax { offset: 16 }),
        ("Digest username=\"u\\".to_owned(), DigestError::Syntax { offset: 16 }),
        ("Digest username=u realm=r".to_owned(), DigestError::Syntax { offset: 18 }),
        (format!("{base}, NONCE=m"), DigestError::Duplicate),
        (format!("{base}0"), DigestError::Malformed { parameter: "response" }),
        (format!("{base}, algorithm=SHA-256"), DigestError::Malformed { parameter: "response" }),
        (format!("{base}, algorithm=MD5-sess"), DigestError::UnknownAlgorithm),
        (format!("{base}, qop=auth"), DigestError::Missing { parameter: "cnonce" }),
        (format!("{base}, qop=auth, cnonce=c"), DigestError::Missing { parameter: "nc" }),
    ];
    for (value, error) in cases {
        assert_eq!(parse_authorization(&value), Err(error), "{value:?}");
    }
    for nc in ["1", "00000000", "0000000g", "+0000001", "000000001", "\"\""] {
        let value = format!("{base}, qop=auth, cnonce=c, nc={nc}");
        let error = DigestError::Malformed { parameter: "nc" };
        assert_eq!(parse_authorization(&value), Err(error), "{value:?}");
    }
    let many = (0..30).fold(String::new(), |list, n| list + &format!(", p{n}=v"));
    assert!(matches!(
        parse_authorization(&format!("{base}{many}")),
        Err(DigestError::TooManyParameters { .. })
    ));
}

#[test]
fn secrets_do_not_show() {
    let server = Server::new(&Algorithm::ALL);
    let shown = format!("{:?} {:?}", server.authenticator, server.user);
    assert!(!shown.contains(&server.user.md5) && !shown.contains(&server.user.sha256));
}

proptest! {
    #[test]
    fn any_field_is_judged(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "Digest ", "username", "nonce", "uri", "=", "\"", ",", " ", "\\", "qop=auth", "nc=",
            "00000001", "response=", "00000000000000000000000000000000", "\u{e9}", "realm=r",
        ]), 0..24),
    ) {
        let server = Server::new(&Algorithm::ALL);
        let verdict = server.judge(&format!("Digest {}", pieces.concat()), START, None);
        prop_assert!(!is_accepted(&verdict));
    }

    #[test]
    fn no_changed_field_is_accepted(at: prop::sample::Index, to in "[ -~]") {
        let server = Server::new(&Algorithm::ALL);
        let client = Client::new(&server, Algorithm::Sha256);
        let right = client.field();
        let at = at.index(right.len());
        let mut changed = right.clone();
        changed.replace_range(at..=at, &to);
        if is_accepted(&server.judge(&changed, START, None)) {
            prop_assert_eq!(parse_authorization(&changed), parse_authorization(&right));
        }
    }
}
