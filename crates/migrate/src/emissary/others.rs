//! Objects of other dialects: Emissary reads Ingresses of its own class, and nothing of Istio.

use plenipo_resources::networking::Ingress;
use plenipo_resources::{Object, Set, View};

use crate::draft::Draft;
use crate::rules;

/// Emissary's controller, as an IngressClass names it.
const CONTROLLER: &str = "getambassador.io/ingress-controller";
/// The older way to name a class.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) fn read(draft: &mut Draft<'_>) {
    for object in draft.ours() {
        let refused = draft.is_refused(&object.id);
        match &object.view {
            View::Gateway(_) => {
                if !refused {
                    draft.say(&rules::ISTIO, object, "", String::new());
                }
                draft.remove(&object.id);
            }
            View::Ingress(ingress) if !is_emissary(draft.set, object, ingress) => {
                if !refused {
                    draft.say(&rules::OTHER_INGRESS, object, "", String::new());
                }
                draft.remove(&object.id);
            }
            _ => {}
        }
    }
}

/// Is the Ingress of a class that Emissary serves?
pub(super) fn is_emissary(set: &Set, object: &Object, ingress: &Ingress) -> bool {
    let annotation = object.meta.annotations.get(CLASS_ANNOTATION).map(String::as_str);
    let Some(name) = annotation.or(ingress.ingress_class_name.as_deref()) else { return false };
    let class = set.get("IngressClass", "", name);
    let by_controller = class.is_some_and(
        |class| matches!(&class.view, View::IngressClass(class) if class.controller == CONTROLLER),
    );
    by_controller || annotation == Some("ambassador")
}
