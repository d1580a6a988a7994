use super::*;

const RULE: Rule = Rule { failure_threshold: 1, ..ACCESS };

/// Five gates, and an attempt that all of them let through.
fn gates() -> ([Arc<Gate>; 5], Admission) {
    let gates = [(); 5].map(|()| Gate::new("x".into()));
    let [backend, model, key, quota, provider] = gates.each_ref().map(|gate| gate.admit(&RULE, clock::now()).ok());
    (gates, Admission { backend, model, key, quota, provider, slot: None, reserved: None })
}

fn open(gates: &[Arc<Gate>; 5]) -> [bool; 5] {
    gates.each_ref().map(|gate| gate.view().phase == Phase::Open)
}

#[tokio::test(start_paused = true)]
async fn each_failure_closes_the_gate_of_whoever_failed() {
    const NOBODY: [bool; 5] = [false; 5];
    let provider_and_backend = [true, false, false, false, true];
    let rows = [
        (Class::Connection, provider_and_backend),
        (Class::Timeout, provider_and_backend),
        (Class::InternalServerError, provider_and_backend),
        (Class::ServiceUnavailable, provider_and_backend),
        (Class::RateLimited, [false, true, false, false, false]),
        (Class::PermissionDenied, [false, true, false, false, false]),
        (Class::NotFound, [false, true, false, false, false]),
        (Class::Authentication, [false, false, true, false, false]),
        (Class::BadRequest, NOBODY),
        (Class::ContextWindowExceeded, NOBODY),
        (Class::ContentPolicyViolation, NOBODY),
        (Class::UnprocessableEntity, NOBODY),
    ];
    let wait = Some(Duration::from_secs(9));
    for (class, want) in rows {
        let (gates, admission) = gates();
        admission.failed(&Failed { retry_after: wait, ..Failed::with(class) }, 0);
        assert_eq!(open(&gates), want, "{class}");
        let (gates, admission) = self::gates();
        admission.failed(&Failed { retry_after: wait, hurried: true, ..Failed::with(class) }, 0);
        assert_eq!(open(&gates), NOBODY, "{class}, because the application was in a hurry");
    }
    let (gates, admission) = gates();
    admission.failed(&Failed::with(Class::RateLimited), 0);
    assert_eq!(open(&gates), NOBODY, "nobody asked for a pause, and it was too much only once");
    let (gates, admission) = self::gates();
    admission.failed(&Failed { rekeyed: true, ..Failed::with(Class::Authentication) }, 0);
    assert_eq!(open(&gates), NOBODY, "the key that was refused is gone");
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_of_a_key_and_a_model_and_a_bill_is_of_the_key() {
    let rows = [
        (OfKey::WithModel, Class::RateLimited, [false, false, false, true, false]),
        (OfKey::Whole, Class::RateLimited, [false, false, true, false, false]),
        (OfKey::Whole, Class::BadRequest, [false, false, true, false, false]),
        (OfKey::Whole, Class::Authentication, [false, false, true, false, false]),
    ];
    for (of_key, class, want) in rows {
        let (gates, admission) = gates();
        admission.failed(&Failed { of_key: Some(of_key), ..Failed::with(class) }, 0);
        assert_eq!(open(&gates), want, "{of_key:?} {class}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_was_never_asked_is_judged_by_nobody() {
    let rows = [
        (Class::Timeout, [true, false, false, false, false]),
        (Class::Connection, [true, false, false, false, false]),
        (Class::Authentication, [false, false, true, false, false]),
    ];
    for (class, want) in rows {
        let (gates, admission) = gates();
        let before = gates.each_ref().map(|gate| gate.view().turns);
        admission.failed(&Failed { unproved: true, ..Failed::with(class) }, 0);
        assert_eq!(open(&gates), want, "{class}");
        assert_eq!(gates[4].view().turns, before[4]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_after_it_began_counts_as_a_failure_and_a_probe_does_not_wait_for_its_end() {
    let (gates, mut admission) = gates();
    admission.answered();
    admission.failed(&Failed::with(Class::Connection), 0);
    assert_eq!(open(&gates), [true, false, false, false, false]);
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
    admission.failed(&Failed::with(Class::Connection), 0);
    tokio::time::advance(RULE.open_for).await;
    let probe = gates[0].admit(&RULE, clock::now());
    drop(probe);
    assert_eq!(gates[0].view().phase, Phase::HalfOpen);
    assert!(gates[0].admit(&RULE, clock::now()).is_ok());
}

#[test]
fn models_that_nobody_asks_for_are_forgotten() {
    let gates = Gates::default();
    let kept = gates.of("kept", || "kept".into());
    for model in 0..100 {
        drop(gates.of(&model.to_string(), || model.to_string()));
    }
    assert!(Arc::ptr_eq(&kept, &gates.of("kept", || "another".into())));
    assert!(gates.lock().len() <= 2);
}
