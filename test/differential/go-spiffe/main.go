// Command go-spiffe says what go-spiffe makes of X.509 chains and of tokens: one JSON object a line in, one verdict a line out.
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

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// question is a chain in DER, leaf first, the anchors of each trust domain, and the time in milliseconds since the epoch;
// or a token, the JWK set of each trust domain, and our audience. A token is judged now: go-spiffe takes no other time.
type question struct {
	Chain    [][]byte                   `json:"chain"`
	Bundles  map[string][][]byte        `json:"bundles"`
	Now      int64                      `json:"now"`
	Token    *string                    `json:"token"`
	KeySets  map[string]json.RawMessage `json:"keySets"`
	Audience string                     `json:"audience"`
}

type verdict struct {
	ID       string   `json:"id,omitempty"`
	Audience []string `json:"audience,omitempty"`
	Expiry   int64    `json:"expiry,omitempty"`
	Error    string   `json:"error,omitempty"`
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
		judge := judgeChain
		if asked.Token != nil {
			judge = judgeToken
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

func domainOf(name string) spiffeid.TrustDomain {
	domain, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		log.Fatalf("a bundle of %q: %v", name, err)
	}
	return domain
}

func judgeToken(asked question) verdict {
	bundles := jwtbundle.NewSet()
	for name, keys := range asked.KeySets {
		bundle, err := jwtbundle.Parse(domainOf(name), keys)
		if err != nil {
			log.Fatalf("the JWT bundle of %q: %v", name, err)
		}
		bundles.Add(bundle)
	}
	svid, err := jwtsvid.ParseAndValidate(*asked.Token, bundles, []string{asked.Audience})
	if err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{ID: svid.ID.String(), Audience: svid.Audience, Expiry: svid.Expiry.Unix()}
}

func judgeChain(asked question) verdict {
	bundles := x509bundle.NewSet()
	for name, anchors := range asked.Bundles {
		domain := domainOf(name)
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
