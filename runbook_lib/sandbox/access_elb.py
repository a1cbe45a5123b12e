"""What a call of Elastic Load Balancing wants to do to which resources. Pure.

Source: Service authorization reference, "AWS Elastic Load Balancing V2"; Application Load Balancers user guide, "Grant
permission to tag resources on creation", "Service-linked roles".
"""

from __future__ import annotations

from runbook_lib.sandbox.access_names import account_arn, arn, request_tags, values
from runbook_lib.sandbox.policies import Access
from runbook_lib.sandbox.wire import ApiRequest

_SERVICE = "elasticloadbalancing"
_LINKED_ROLE = f"role/aws-service-role/{_SERVICE}.amazonaws.com/AWSServiceRoleForElasticLoadBalancing"
# operation -> kind of what it makes, under the name in the request
_MADE = {"CreateLoadBalancer": "loadbalancer/app", "CreateTargetGroup": "targetgroup"}
_ARNS = ("ListenerArn", "RuleArn", "LoadBalancerArn", "TargetGroupArn")
"""What a call is about: the first of these that it has."""


def accesses(request: ApiRequest) -> list[Access]:
    """Return what a call wants."""
    action, given, operation = f"{_SERVICE}:{request.operation}", request.parameters, request.operation
    if operation.startswith("Describe"):
        return [Access(action)]
    tags = request_tags(given, "Tags.member")
    if operation in {"AddTags", "RemoveTags"}:
        return [Access(action, one, tags) for one in values(given, "ResourceArns")]
    if operation in _MADE:
        about = arn(_SERVICE, f"{_MADE[operation]}/{given.get('Name', '*')}/*")
    else:
        about = next((given[name] for name in _ARNS if name in given), "*")
    found = [Access(action, about, tags)]
    if tags:
        made = about.replace(":loadbalancer/", ":listener/") + "/*" if operation == "CreateListener" else about
        found.append(Access(f"{_SERVICE}:AddTags", made, {**tags, f"{_SERVICE}:createaction": operation}))
    if operation == "CreateLoadBalancer":
        service = {"iam:awsservicename": f"{_SERVICE}.amazonaws.com"}
        found.append(Access("iam:CreateServiceLinkedRole", account_arn("iam", _LINKED_ROLE), service))
    return found
