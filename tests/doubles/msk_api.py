"""A double of the API of Amazon MSK that knows one operation: GetBootstrapBrokers (MSK API
reference, "Clusters clusterArn Bootstrap-brokers").

It takes nothing but a GET of the cluster's ARN, percent-encoded, without a body, signed for `kafka`
in the cluster's region; the signature is computed once more by botocore. A cluster names addresses
for the ways in that are turned on, and for no other.
"""

import re
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

import receiver
from receiver import Answer

# What a cluster may name, by the way in.
MEMBERS = {
    way: f"bootstrapBrokerString{way}"
    for way in [
        "",
        "Tls",
        "SaslScram",
        "SaslIam",
        "PublicTls",
        "PublicSaslScram",
        "PublicSaslIam",
        "VpcConnectivityTls",
        "VpcConnectivitySaslScram",
        "VpcConnectivitySaslIam",
    ]
}
ARN = r"arn:aws:kafka:([a-z0-9-]+):\d{12}:cluster/[\w-]+/[\w-]+"
AUTHORIZATION = (
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([\w-]+)/(\w+)/aws4_request, ?"
    r"SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})"
)


class Refusal(receiver.Refusal):
    """An error of the API: its name goes into a header."""

    def __init__(self, name, status, message, mistake=False):
        super().__init__(message, status, mistake)
        self.name = name


def refused(name, status, message):
    """A step of a script that answers with this error."""
    headers = {"x-amzn-ErrorType": name}
    return {"times": 0, "status": status, "body": {"message": message}, "headers": headers}


class MskApi(receiver.Receiver):
    """Clusters are kept by ARN: what they name for each way in, `{"SaslIam": "b-1:9098,b-2:9098"}`."""

    def __init__(self, access_key, secret_key, **options):
        self.keys = botocore.credentials.Credentials(access_key, secret_key)
        self.clusters = {}
        super().__init__(**options)

    def cluster(self, arn, **ways):
        """Makes a cluster, or changes what it names."""
        assert ways.keys() <= MEMBERS.keys() | {"PlainText"}, ways
        named = {MEMBERS[way.replace("PlainText", "")]: brokers for way, brokers in ways.items()}
        with self.lock:
            self.clusters[arn] = named

    def check(self, request):
        if request.method != "GET" or request.body:
            raise Refusal("MethodNotAllowedException", 405, "no GET alone", mistake=True)
        found = re.fullmatch(r"/v1/clusters/([^/?]+)/bootstrap-brokers", request.path)
        if not found:
            raise Refusal("NotFoundException", 404, f"path {request.path}", mistake=True)
        arn = urllib.parse.unquote(found[1])
        if urllib.parse.quote(arn, safe="-_.~") != found[1]:
            raise Refusal("BadRequestException", 400, f"path {request.path}", mistake=True)
        shape = re.fullmatch(ARN, arn)
        if not shape:
            raise Refusal("BadRequestException", 400, f"{arn} is no cluster's", mistake=True)
        request.details["arn"] = arn
        self.check_signature(request, shape[1])

    def check_signature(self, request, region):
        """Computed once more by botocore."""
        text = request.header("Authorization") or ""
        found = re.fullmatch(AUTHORIZATION, text)
        if not found:
            raise Refusal("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
        key, day, signed_for, service, names, signature = found.groups()
        if (signed_for, service) != (region, "kafka"):
            raise Refusal(
                "InvalidSignatureException", 403, f"signed for {signed_for} {service}", mistake=True
            )
        names = names.split(";")
        date = request.header("X-Amz-Date") or ""
        if not {"host", "x-amz-date"} <= set(names) or not date.startswith(day):
            raise Refusal("IncompleteSignatureException", 403, f"signs {names}", mistake=True)
        if key != self.keys.access_key:
            message = "The security token included in the request is invalid."
            raise Refusal("UnrecognizedClientException", 403, message)
        again = botocore.awsrequest.AWSRequest(
            method="GET",
            url=f"http://{request.header('Host')}{request.path}",
            data=b"",
            headers={name: request.header(name) for name in names},
        )
        again.context["timestamp"] = date
        auth = botocore.auth.SigV4Auth(self.keys, service, region)
        expected = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        if signature != expected:
            message = "The request signature we calculated does not match the signature you provided."
            raise Refusal("InvalidSignatureException", 403, message)

    def answer(self, request):
        with self.lock:
            named = self.clusters.get(request.details["arn"])
        if named is None:
            raise Refusal("NotFoundException", 404, "The requested resource doesn't exist.")
        return Answer(200, named)

    def refusal(self, request, refused):
        name = getattr(refused, "name", "BadRequestException")
        headers = {"x-amzn-ErrorType": name}
        return Answer(refused.status, {"message": refused.reason}, headers=headers)
