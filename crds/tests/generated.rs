//! The chart's definitions are the ones these types generate. `UPDATE=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::PathBuf;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

const HEADER: &str = "# Generated from the types in crds/src: change those and run `make crds`.\n";

fn file(crd: &CustomResourceDefinition) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/spillway-crds/templates");
    folder.join(format!("{}.yaml", crd.spec.names.plural))
}

fn yaml(crd: &CustomResourceDefinition) -> String {
    let mut crd = crd.clone();
    // `helm uninstall` of the chart must not take every resource of the cluster with it.
    crd.metadata.annotations.get_or_insert_default().insert("helm.sh/resource-policy".into(), "keep".into());
    format!("{HEADER}{}", serde_yaml_ng::to_string(&crd).unwrap())
}

#[test]
fn the_chart_has_the_generated_definitions() {
    for crd in spillway_crds::crds() {
        let (path, want) = (file(&crd), yaml(&crd));
        assert!(!want.contains("{{"), "{}: Helm would read this as a template", path.display());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &want).unwrap();
        }
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(have == want, "{} is out of date: run `make crds`", path.display());
    }
}

#[test]
fn every_list_string_map_and_number_has_a_bound() {
    for crd in spillway_crds::crds() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        let mut unbounded = Vec::new();
        look(schema, &crd.spec.names.kind, &mut unbounded);
        assert!(unbounded.is_empty(), "no bound: {unbounded:#?}");
    }
}

fn look(schema: &JSONSchemaProps, path: &str, unbounded: &mut Vec<String>) {
    let bounded = match schema.type_.as_deref() {
        Some("string") => schema.max_length.is_some() || schema.enum_.is_some(),
        Some("array") => schema.max_items.is_some(),
        Some("integer" | "number") => {
            schema.minimum.is_some() && (schema.maximum.is_some() || path.ends_with("observedGeneration"))
        }
        Some("object") => schema.additional_properties.is_none() || schema.max_properties.is_some(),
        _ => true,
    };
    if !bounded {
        unbounded.push(path.to_owned());
    }
    if schema.nullable.is_some() || schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        unbounded.push(format!("{path}: nullable, or a format the API server warns about"));
    }
    for (name, property) in schema.properties.iter().flatten() {
        look(property, &format!("{path}.{name}"), unbounded);
        if property.description.is_none() && !path.contains(".conditions") && path != "metadata" {
            let told = ["apiVersion", "kind", "metadata", "status", "spec"].contains(&name.as_str());
            assert!(told || property.items.is_some(), "{path}.{name} has no description");
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        look(items, &format!("{path}[]"), unbounded);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        look(values, &format!("{path}{{}}"), unbounded);
    }
}

#[test]
fn no_name_or_value_is_a_boolean_to_kubectl() {
    // kubectl reads YAML 1.1, where these are booleans unless quoted.
    const BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    for crd in spillway_crds::crds() {
        for line in yaml(&crd).lines() {
            let word = line.trim().trim_start_matches("- ").trim_end_matches(':').to_lowercase();
            assert!(!BOOLEANS.contains(&word.as_str()), "{}: {line}", crd.spec.names.kind);
        }
    }
}
