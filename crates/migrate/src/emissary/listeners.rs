//! Listeners.

use plenipo_resources::View;

use crate::draft::Draft;
use crate::rules;

pub(super) fn read(draft: &mut Draft<'_>) {
    for object in draft.ours() {
        let View::Listener(listener) = &object.view else { continue };
        if !listener.proxy_protocol_from.is_empty() {
            draft.say(&rules::OURS_ALONE, object, "spec.proxyProtocolFrom", String::new());
            draft.edit(object, |view| {
                if let View::Listener(listener) = view {
                    listener.proxy_protocol_from.clear();
                }
            });
        }
        let position = |layer: &str| {
            let stack = listener.protocol_stack.as_deref().unwrap_or_default();
            stack.iter().position(|found| found == layer)
        };
        let stack = listener.protocol_stack.as_ref().is_some_and(|stack| !stack.is_empty());
        let field = match (stack, position("TLS"), position("PROXY"), listener.protocol.as_deref()) {
            (true, Some(tls), Some(proxy), _) if tls < proxy => "spec.protocolStack",
            (false, _, _, Some("HTTPSPROXY")) => "spec.protocol",
            _ => continue,
        };
        draft.say(&rules::TLS_BEFORE_PROXY, object, field, String::new());
        draft.remove(&object.id);
    }
}
