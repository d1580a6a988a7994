//! Chains of fallbacks that can never help are refused at admission: a prompt that is too long for one window is too long for
//! every window that is no larger.
//!
//! One policy may be for many routes, and of use to some of them only. It is refused if it helps none; where it helps one,
//! the others are worth a warning.

use std::collections::BTreeSet;

use spillway_crds::Reason;
use spillway_wire as wire;

use super::diagnostic::{Diagnostic, Severity};
use super::policy::ByRoute;

/// Whether none of these backends takes a prompt that any first choice does not. A window nobody knows may be large enough.
pub(super) fn is_hopeless(backends: &[wire::Backend], to: &[String]) -> bool {
    let window = |backend: &wire::Backend| backend.model.context_window_tokens;
    let primaries = backends.iter().filter(|backend| backend.role == wire::Role::Primary);
    let smallest = primaries.map(|backend| window(backend).unwrap_or(0)).min();
    let target = |name: &String| backends.iter().find(|backend| backend.name == *name).and_then(window);
    let largest = to.iter().map(|name| target(name).unwrap_or(u64::MAX)).max();
    smallest.zip(largest).is_some_and(|(smallest, largest)| largest <= smallest)
}

/// Makes a warning of each refusal of a policy that is of use to another one of its routes.
pub(super) fn soften(by_route: &ByRoute<'_>, diagnostics: &mut [Diagnostic]) {
    let is_refused = |one: &Diagnostic| one.reason == Reason::SmallerWindow && one.severity == Severity::Refuse;
    let refused: BTreeSet<_> = diagnostics
        .iter()
        .filter(|one| is_refused(one))
        .filter_map(|one| Some((one.object.clone(), format!("{}/{}", one.object.namespace, one.route.as_ref()?))))
        .collect();
    for one in diagnostics.iter_mut().filter(|one| is_refused(one)) {
        let mut routes = by_route.iter().filter(|(_, (policy, _))| *policy == one.object).map(|(route, _)| route);
        if routes.any(|route| !refused.contains(&(one.object.clone(), route.clone()))) {
            one.severity = Severity::Warn;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::{Severity, compile};
    use crate::resources::world::world;

    const PROVIDER: &str = "kind: ModelProvider\nmetadata: {name: p, namespace: shop}\n\
        spec: {type: OpenAI, credentials: {none: {}}, models: [{name: s, contextWindow: 8192}, {name: m, contextWindow: 32768}, \
        {name: l, contextWindow: 128000}]}";

    /// Models with their roles.
    type Backends<'a> = &'a [(&'a str, &'a str)];

    fn route(name: &str, backends: Backends) -> String {
        let backend = |(model, role): &(&str, &str)| {
            format!("{{name: {model}, providerRef: {{name: p}}, model: {model}, role: {role}}}")
        };
        let backends = backends.iter().map(backend).collect::<Vec<_>>().join(", ");
        format!("kind: ModelRoute\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{backends: [{backends}]}}")
    }

    fn policy(routes: &[&str], to: &str) -> String {
        let target = |name: &&str| format!("{{group: spillway.dev, kind: ModelRoute, name: {name}}}");
        let targets = routes.iter().map(target).collect::<Vec<_>>().join(", ");
        format!(
            "kind: FallbackPolicy\nmetadata: {{name: x, namespace: shop}}\nspec: {{targetRefs: [{targets}], \
             contextWindow: {{onExceeded: LargerModel}}, fallbacks: [{{onErrors: [ContextWindowExceeded], to: [{to}]}}]}}"
        )
    }

    /// What is said of the policy: how, of which route, and what.
    fn said(documents: &[String]) -> Vec<(Severity, String, String)> {
        let mut all = vec![PROVIDER];
        all.extend(documents.iter().map(String::as_str));
        let diagnostics = compile(&world(&all)).diagnostics.into_iter().filter(|one| one.object.name == "x");
        diagnostics.map(|one| (one.severity, one.route.unwrap_or_default(), one.message)).collect()
    }

    #[test]
    fn a_chain_that_can_never_help_is_refused_with_both_windows() {
        let rows: [(Backends, &str, Option<Severity>); 7] = [
            (&[("m", "Primary"), ("s", "Fallback")], "s", Some(Severity::Refuse)),
            (&[("m", "Primary"), ("m2", "Fallback")], "m2", None),
            (&[("m", "Primary"), ("s", "Fallback"), ("l", "Fallback")], "s, l", Some(Severity::Warn)),
            (&[("m", "Primary"), ("l", "Fallback")], "l", None),
            (&[("m", "Primary")], "m", Some(Severity::Refuse)),
            // What overflows the smaller first choice goes on to the larger one, so that is no reason to refuse.
            (&[("l", "Primary"), ("s", "Primary"), ("m", "Fallback")], "m", Some(Severity::Warn)),
            (&[("mystery", "Primary"), ("s", "Fallback")], "s", None),
        ];
        for (backends, to, want) in rows {
            let said = said(&[route("chat", backends), policy(&["chat"], to)]);
            let worst = said.iter().map(|(severity, ..)| *severity).min();
            assert_eq!(worst, want, "{backends:?} {to}: {said:?}");
            if want == Some(Severity::Refuse) {
                let [(_, of, message)] = &said[..] else { panic!("{backends:?}: said more than once: {said:?}") };
                assert_eq!(of, "chat");
                assert!(message.contains("\"m\" (32768 tokens)"), "{message}");
            }
        }
    }

    #[test]
    fn a_policy_that_helps_one_of_its_routes_is_not_refused() {
        let helped = route("helped", &[("s", "Primary"), ("m", "Fallback")]);
        let not = route("chat", &[("l", "Primary"), ("m", "Fallback")]);
        let both = said(&[helped.clone(), not.clone(), policy(&["chat", "helped"], "m")]);
        assert!(both.iter().all(|(severity, of, _)| (*severity, of.as_str()) == (Severity::Warn, "chat")), "{both:?}");
        assert_eq!(said(&[helped, not.clone(), policy(&["helped"], "m")]), []);
        assert_eq!(said(&[not, policy(&["chat"], "m")])[0].0, Severity::Refuse);
    }
}
