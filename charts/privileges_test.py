"""What privileges.py makes of an audit log and roles. Run by chart_test.py."""
import unittest

from privileges import compare, granted, used

ACCOUNT = "system:serviceaccount:system:operator"


def role(name, namespace, *rules):
    kind = "Role" if namespace else "ClusterRole"
    where = {"namespace": namespace} if namespace else {}
    return [{"kind": kind, "metadata": {"name": name, **where}, "rules": [
                {"apiGroups": [group], "resources": [resource], "verbs": verbs} for group, resource, verbs in rules]},
            {"kind": f"{kind}Binding", "metadata": {"name": name, **where}, "roleRef": {"kind": kind, "name": name},
             "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": "system"}]}]


def event(verb, group, resource, namespace="", code=200, user=ACCOUNT):
    resource, _, subresource = resource.partition("/")
    reference = {"resource": resource, "subresource": subresource, "apiGroup": group, "namespace": namespace}
    return {"verb": verb, "user": {"username": user}, "responseStatus": {"code": code},
            "objectRef": {key: value for key, value in reference.items() if value}}


class PrivilegesTest(unittest.TestCase):
    WIDE = role("wide", "", ("apps", "deployments", ["list", "patch"]), ("x", "pools/status", ["patch"]))
    ALL = (event("list", "apps", "deployments"), event("patch", "apps", "deployments", "studio"),
           event("patch", "x", "pools/status", "studio"))

    def compared(self, manifests, *events):
        roles = granted(manifests)
        return compare(roles, used(events, roles))

    def test_what_is_used_and_granted_is_just_right(self):
        self.assertEqual(self.compared(self.WIDE, *self.ALL), ([], []))

    def test_refusal_is_missing(self):
        missing, spare = self.compared(self.WIDE, *self.ALL, event("get", "", "secrets", "studio", 403))
        self.assertEqual((missing, spare), (["system:operator: get secrets in studio was refused (403)"], []))

    def test_what_is_granted_and_always_refused_is_missing(self):
        missing, _ = self.compared(self.WIDE, event("list", "apps", "deployments", code=403), *self.ALL[1:])
        self.assertEqual(missing, ["system:operator: list deployments.apps in all namespaces was always refused (403)"])

    def test_refusal_after_the_role_is_gone_is_none(self):
        self.assertEqual(self.compared(self.WIDE, *self.ALL, event("list", "apps", "deployments", code=403)), ([], []))

    def test_what_another_role_allowed_is_missing(self):
        missing, _ = self.compared(self.WIDE, *self.ALL, event("delete", "apps", "deployments", "studio"))
        self.assertEqual(missing, ["system:operator: delete deployments.apps in studio is not in its roles"])

    def test_what_was_never_asked_for_is_spare(self):
        _, spare = self.compared(self.WIDE, *self.ALL[:2])
        self.assertEqual(spare, ["system:operator: patch pools/status.x in all namespaces was never asked for"])

    def test_resource_and_subresource_are_two(self):
        _, spare = self.compared(self.WIDE, *self.ALL[:2], event("patch", "x", "pools", "studio"))
        self.assertEqual(len(spare), 1)

    def test_role_of_a_namespace_reaches_no_further(self):
        narrow = role("narrow", "studio", ("apps", "deployments", ["list"]))
        self.assertEqual(self.compared(narrow, event("list", "apps", "deployments", "studio")), ([], []))
        for where in ("other", ""):
            missing, _ = self.compared(narrow, event("list", "apps", "deployments", where))
            self.assertEqual(len(missing), 1, where)

    def test_roles_of_two_manifests_of_one_account_add_up(self):
        both = self.WIDE + role("lease", "system", ("c", "leases", ["get"]))
        self.assertEqual(self.compared(both, *self.ALL, event("get", "c", "leases", "system")), ([], []))

    def test_others_are_not_looked_at(self):
        self.assertEqual(self.compared(self.WIDE, *self.ALL, event("get", "", "secrets", "a", 403, "somebody")), ([], []))
