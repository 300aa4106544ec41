// Package verify checks access tokens of grantd (RFC 9068).
package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// Verifier holds the issuer's keys: one for the whole process.
type Verifier struct {
	keys   keyfunc.Keyfunc
	parser *jwt.Parser
}

// Claims of a token.
type Claims struct {
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	jwt.RegisteredClaims
}

// New makes a verifier. Its keys are fetched every 5 minutes, until ctx ends. An unknown kid fetches them
// anew, but only once in a coolDown, such as 30 s, whatever people send.
func New(ctx context.Context, issuer, audience string, coolDown time.Duration) (*Verifier, error) {
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{issuer + "/oauth2/jwks"}, keyfunc.Override{
		HTTPTimeout:       5 * time.Second,
		RefreshInterval:   5 * time.Minute,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(coolDown), 1),
		RateLimitWaitMax:  coolDown / 4, // the time for that fetch, and the longest wait for its turn
	})
	if err != nil {
		return nil, err
	}
	return &Verifier{keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256"}), // what your resource's tokens are signed with
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(30*time.Second), // by which two clocks may differ
	)}, nil
}

// Verify returns the claims of a token that is good for this scope.
func (v *Verifier) Verify(token, scope string) (*Claims, error) {
	claims := new(Claims)
	if _, err := v.parser.ParseWithClaims(token, claims, v.key); err != nil {
		return nil, err
	}
	if len(claims.Audience) != 1 {
		return nil, fmt.Errorf("it is for others too: %q", claims.Audience)
	}
	if claims.Subject == "" || claims.ClientID == "" {
		return nil, fmt.Errorf("it does not say whose it is")
	}
	if !slices.Contains(strings.Fields(claims.Scope), scope) {
		return nil, fmt.Errorf("it lacks the scope %s", scope)
	}
	return claims, nil
}

func (v *Verifier) key(token *jwt.Token) (any, error) {
	if token.Header["typ"] != "at+jwt" {
		return nil, fmt.Errorf("it is no access token: typ is %v", token.Header["typ"])
	}
	if _, critical := token.Header["crit"]; critical { // golang-jwt knows no extensions
		return nil, fmt.Errorf("it has critical extensions")
	}
	return v.keys.Keyfunc(token)
}
