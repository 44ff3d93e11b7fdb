"""What failed while a destination was down is delivered by the daemon itself."""

import harness
import outputs
from http_deliveries import KEY, failures, lines, once, settled, stream, to


def test_what_piled_up_is_delivered_once_the_destination_is_well(daemon, endpoints, tmp_path):
    folder = tmp_path / "bucket"
    endpoint = endpoints(access_key=KEY)
    endpoint.close()
    destination = to(
        endpoint.url, folder, buffering={"interval": "0s"}, retry={"duration": "1s"}
    )
    destination["http_endpoint"]["backup"]["buffering"] = {"interval": "1s"}
    destination["replay"] = {"after_recovery": True, "after": "1s"}
    d = daemon(stream(destination))
    lost = lines(0, 1200)
    for start in range(0, len(lost), 400):
        outputs.put(d, *lost[start : start + 400])
    assert settled(d, len(lost))["failed"] == len(lost)
    assert set(failures(folder)) == set(lost)
    # Well again: what comes in gets through, and what did not follows.
    back = endpoints(access_key=KEY, port=endpoint.port)
    arrives = lines(1200, 10)
    outputs.put(d, *arrives)
    harness.wait_for(lambda: not outputs.local_contents(folder), "the objects are gone")
    assert back.times() == once(lost + arrives)
    harness.wait_for(lambda: "failed records replayed" in d.log(), "it is said")
