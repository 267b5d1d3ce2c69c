//! What stands before routes: tokens, rules, services that are asked.

use plenipo_model::{Authorization, ExternalAuthorization, Guard, HttpServer, KeySource};

use super::way::Way;

impl Way {
    /// What every request must get past.
    pub(super) fn guards_of_server(&mut self, server: &HttpServer) {
        for rule in server.authentication.iter().flat_map(|authentication| &authentication.rules) {
            let keys = match &rule.keys {
                KeySource::Inline(_) => "given keys".to_owned(),
                KeySource::Remote(remote) => format!("keys from {}", remote.url),
                KeySource::Missing(why) => format!("no key ({why}): all are refused"),
            };
            self.step_of("token", format!("of {} is verified with {keys}", rule.issuer), &rule.source);
        }
        let routes = || server.hosts.iter().flat_map(|host| host.routes.iter());
        if routes().any(|route| !route.matches.claims.is_empty()) {
            let message = "no token is verified here: routes that ask what one says are not taken";
            self.step("claims", message.to_owned());
        }
        if let Some(rules) = &server.authorization {
            self.authorization(rules);
        }
    }

    /// What a request that takes the route must get past.
    pub(super) fn guard_of_route(&mut self, guard: &Guard) {
        if let Some(rules) = &guard.authorization {
            self.authorization(rules);
        }
        if let Some(service) = &guard.external {
            self.asked(service);
        }
    }

    fn authorization(&mut self, rules: &Authorization) {
        if let Some(why) = &rules.refuse {
            self.step("refused", format!("403 for everybody: {why}"));
            return;
        }
        for rule in &rules.external {
            self.asked(&rule.service);
        }
        for policy in &rules.deny {
            self.step_of("denied", "403 for whoever it takes".to_owned(), &policy.source);
        }
        for policy in rules.allow.iter().flatten() {
            self.step_of("allowed", "whoever it takes; 403 for whom none takes".to_owned(), &policy.source);
        }
    }

    fn asked(&mut self, service: &ExternalAuthorization) {
        let without = match service.fail_open {
            true => "passes without an answer".to_owned(),
            false => format!("{} without an answer", service.status_on_error.as_u16()),
        };
        self.step_of("asked", format!("{} says who passes; {without}", service.cluster), &service.source);
    }
}
