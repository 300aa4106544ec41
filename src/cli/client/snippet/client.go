// Gets access tokens of grantd. Needs golang.org/x/oauth2. Made by `grantd client snippet`.
//
// {{about}}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	issuer   = {{issuer}}
	metadata = {{metadata}}
	clientID = {{client_id}}
	resource = {{resource}}
	scope    = {{scope}}
	// The file of the secret, which this user alone may read. A relative name is looked for where
	// systemd's LoadCredential= puts it, else in the current folder.
	secretFile = {{secret_file}}
)

func main() {
	ctx := context.Background()
	tokens, err := tokenSource(ctx)
	if err != nil {
		log.Fatal(err)
	}
	// One source for the whole process: it keeps a token until shortly before it expires, and
	// oauth2.NewClient(ctx, tokens) is an HTTP client that sends it. When refused, err is an
	// *oauth2.RetrieveError, which has the code.
	token, err := tokens.Token()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.AccessToken)
}

func tokenSource(ctx context.Context) (oauth2.TokenSource, error) {
	endpoint, err := discover(ctx)
	if err != nil {
		return nil, err
	}
	file := secretFile
	if !filepath.IsAbs(file) {
		file = filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), file)
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		ClientID:       clientID,
		ClientSecret:   strings.TrimSpace(string(secret)),
		TokenURL:       endpoint,
		Scopes:         strings.Fields(scope),
		EndpointParams: url.Values{"resource": {resource}},
		AuthStyle:      oauth2.AuthStyleInParams,
	}
	return config.TokenSource(ctx), nil
}

// discover returns the token endpoint that the issuer's metadata name (RFC 8414).
func discover(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var found struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return "", fmt.Errorf("%s: %s: %w", metadata, answer.Status, err)
	}
	if found.Issuer != issuer {
		return "", fmt.Errorf("%s is of another issuer: %q", metadata, found.Issuer)
	}
	return found.TokenEndpoint, nil
}
