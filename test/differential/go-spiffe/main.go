// Command go-spiffe says what go-spiffe's x509svid makes of X.509 chains: one JSON object a line in, one verdict a line out.
// It judges nothing itself.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// question is a chain in DER, leaf first, the anchors of each trust domain, and the time in milliseconds since the epoch.
type question struct {
	Chain   [][]byte            `json:"chain"`
	Bundles map[string][][]byte `json:"bundles"`
	Now     int64               `json:"now"`
}

type verdict struct {
	ID    string `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
}

// lineBytesMax is far above the largest chain that the tests write.
const lineBytesMax = 4 << 20

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	out := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(out)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatalf("not a question: %v", err)
		}
		if err := answers.Encode(judge(asked)); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

func judge(asked question) verdict {
	bundles := x509bundle.NewSet()
	for name, anchors := range asked.Bundles {
		domain, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			log.Fatalf("a bundle of %q: %v", name, err)
		}
		authorities := make([]*x509.Certificate, 0, len(anchors))
		for _, der := range anchors {
			anchor, err := x509.ParseCertificate(der)
			if err != nil {
				return verdict{Error: fmt.Sprintf("bundle: %v", err)}
			}
			authorities = append(authorities, anchor)
		}
		bundles.Add(x509bundle.FromX509Authorities(domain, authorities))
	}
	id, _, err := x509svid.ParseAndVerify(asked.Chain, bundles, x509svid.WithTime(time.UnixMilli(asked.Now)))
	if err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{ID: id.String()}
}
