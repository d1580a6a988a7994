use super::*;

const RULE: Rule = Rule { failure_threshold: 1, ..ACCESS };

/// Four gates, and an attempt that all of them let through.
fn gates() -> ([Arc<Gate>; 4], Admission) {
    let gates = [(); 4].map(|()| Gate::new("x".into()));
    let [backend, model, key, provider] = gates.each_ref().map(|gate| gate.admit(&RULE, clock::now()).ok());
    (gates, Admission { backend, model, key, provider, slot: None })
}

fn open(gates: &[Arc<Gate>; 4]) -> [bool; 4] {
    gates.each_ref().map(|gate| gate.view().phase == Phase::Open)
}

#[tokio::test(start_paused = true)]
async fn each_failure_closes_the_gate_of_whoever_failed() {
    const NOBODY: [bool; 4] = [false; 4];
    let provider_and_backend = [true, false, false, true];
    let rows = [
        (Class::Connection, provider_and_backend),
        (Class::Timeout, provider_and_backend),
        (Class::InternalServerError, provider_and_backend),
        (Class::ServiceUnavailable, provider_and_backend),
        (Class::RateLimited, [false, true, false, false]),
        (Class::PermissionDenied, [false, true, false, false]),
        (Class::NotFound, [false, true, false, false]),
        (Class::Authentication, [false, false, true, false]),
        (Class::BadRequest, NOBODY),
        (Class::ContextWindowExceeded, NOBODY),
        (Class::ContentPolicyViolation, NOBODY),
        (Class::UnprocessableEntity, NOBODY),
    ];
    let wait = Some(Duration::from_secs(9));
    for (class, want) in rows {
        let (gates, admission) = gates();
        admission.failed(&Failed { class, retry_after: wait, hurried: false, rekeyed: false, of_key: false }, 0);
        assert_eq!(open(&gates), want, "{class}");
        let (gates, admission) = self::gates();
        admission.failed(&Failed { class, retry_after: wait, hurried: true, rekeyed: false, of_key: false }, 0);
        assert_eq!(open(&gates), NOBODY, "{class}, because the application was in a hurry");
    }
    let (gates, admission) = gates();
    let unasked =
        Failed { class: Class::RateLimited, retry_after: None, hurried: false, rekeyed: false, of_key: false };
    admission.failed(&unasked, 0);
    assert_eq!(open(&gates), NOBODY, "nobody asked for a pause, and it was too much only once");
    let (gates, admission) = self::gates();
    admission.failed(&Failed { class: Class::Authentication, rekeyed: true, ..unasked }, 0);
    assert_eq!(open(&gates), NOBODY, "the key that was refused is gone");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_after_it_began_counts_as_a_failure_and_a_probe_does_not_wait_for_its_end() {
    let (gates, mut admission) = gates();
    admission.answered();
    admission.failed(
        &Failed { class: Class::Connection, retry_after: None, hurried: false, rekeyed: false, of_key: false },
        0,
    );
    assert_eq!(open(&gates), [true, false, false, false]);
    tokio::time::advance(RULE.open_for).await;
    let gate = &gates[0];
    let mut probe = Admission { backend: gate.admit(&RULE, clock::now()).ok(), ..Admission::default() };
    assert!(gate.admit(&RULE, clock::now()).is_err(), "one at a time");
    probe.answered();
    assert_eq!(gate.view().phase, Phase::Closed);
    drop(probe);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_has_proved_nothing_and_frees_the_place_of_the_probe() {
    let (gates, admission) = gates();
    admission.failed(
        &Failed { class: Class::Connection, retry_after: None, hurried: false, rekeyed: false, of_key: false },
        0,
    );
    tokio::time::advance(RULE.open_for).await;
    let probe = gates[0].admit(&RULE, clock::now());
    drop(probe);
    assert_eq!(gates[0].view().phase, Phase::HalfOpen);
    assert!(gates[0].admit(&RULE, clock::now()).is_ok());
}
