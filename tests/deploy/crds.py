"""The parts of custom resources that the chart uses, in the shape that their projects publish.

ServiceMonitor and PrometheusRule: the Prometheus operator's API reference (monitoring.coreos.com).
ScaledObject: KEDA's "ScaledObject specification" and "Prometheus" scaler pages; its `behavior` is
that of autoscaling/v2. HTTPRoute: the Gateway API's reference (v1). Only what the chart uses is
here, and any other key is refused.
"""

from typing import Any

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
STRINGS: Schema = {"type": "object", "additionalProperties": STRING}
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"}
COUNT: Schema = {"type": "integer", "minimum": 0}


def strict(required: str = "", **properties: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def resource(spec: Schema) -> Schema:
    metadata = strict("name labels", name=STRING, labels=STRINGS, annotations=STRINGS)
    return strict(
        "apiVersion kind metadata spec",
        apiVersion=STRING,
        kind=STRING,
        metadata=metadata,
        spec=spec,
    )


def many(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


SCALING: Schema = strict(
    "stabilizationWindowSeconds policies",
    stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3600},
    policies=many(
        strict(
            "type value periodSeconds",
            type={"enum": ["Pods", "Percent"]},
            value={"type": "integer", "minimum": 1},
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        )
    ),
)
SECONDS: Schema = {"type": "string", "pattern": "^[0-9]{1,5}s$"}
CRDS: dict[str, Schema] = {
    "gateway.networking.k8s.io/v1 HTTPRoute": resource(
        strict(
            "parentRefs rules",
            parentRefs=many(strict("name", name=STRING, namespace=STRING, sectionName=STRING)),
            hostnames=many(STRING),
            rules=many(
                strict(
                    "matches backendRefs",
                    matches=many(
                        strict("path", path=strict("type value", type=STRING, value=STRING))
                    ),
                    timeouts=strict("", request=SECONDS, backendRequest=SECONDS),
                    backendRefs=many(strict("name port", name=STRING, port={"type": "integer"})),
                )
            ),
        )
    ),
    "monitoring.coreos.com/v1 ServiceMonitor": resource(
        strict(
            "selector endpoints",
            jobLabel=STRING,
            selector=strict("matchLabels", matchLabels=STRINGS),
            endpoints=many(strict("port", port=STRING, path=STRING, interval=DURATION)),
        )
    ),
    "monitoring.coreos.com/v1 PrometheusRule": resource(
        strict(
            "groups",
            groups=many(
                strict(
                    "name rules",
                    name=STRING,
                    rules=many(
                        strict(
                            "alert expr",
                            alert={"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
                            expr=STRING,
                            labels=STRINGS,
                            annotations=STRINGS,
                            **{"for": DURATION},
                        )
                    ),
                )
            ),
        )
    ),
    "keda.sh/v1alpha1 ScaledObject": resource(
        strict(
            "scaleTargetRef triggers",
            scaleTargetRef=strict("name", apiVersion=STRING, kind=STRING, name=STRING),
            minReplicaCount=COUNT,
            maxReplicaCount=COUNT,
            pollingInterval=COUNT,
            fallback=strict("failureThreshold replicas", failureThreshold=COUNT, replicas=COUNT),
            advanced=strict(
                horizontalPodAutoscalerConfig=strict(
                    behavior=strict(scaleUp=SCALING, scaleDown=SCALING)
                )
            ),
            triggers=many(
                strict(
                    "type metadata",
                    type={"const": "prometheus"},
                    name=STRING,
                    metricType={"enum": ["AverageValue", "Value"]},
                    metadata=strict(
                        "serverAddress query threshold",
                        serverAddress=STRING,
                        query=STRING,
                        threshold=STRING,
                        ignoreNullValues={"enum": ["true", "false"]},
                    ),
                )
            ),
        )
    ),
}
