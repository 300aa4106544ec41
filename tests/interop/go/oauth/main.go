// Asks for tokens with golang.org/x/oauth2/clientcredentials, configured by go-oidc from discovery alone.
//
// Reads on stdin one JSON object, {"issuer", "cases": [{"method", "client_id", "client_secret", "resource",
// "scope"}]}, and prints one, {"library": [what it got, or what it shows when refused]}. The CA comes by
// SSL_CERT_FILE.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type asked struct {
	Issuer string `json:"issuer"`
	Cases  []one  `json:"cases"`
}

type one struct {
	Method       string `json:"method"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Resource     string `json:"resource"`
	Scope        string `json:"scope"`
}

func main() {
	var asked asked
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, asked.Issuer)
	if err != nil {
		log.Fatal(err)
	}
	got := []map[string]any{}
	for _, one := range asked.Cases {
		answer, err := ask(ctx, provider.Endpoint().TokenURL, one)
		if err != nil {
			log.Fatal(err)
		}
		got = append(got, answer)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"x/oauth2": got}); err != nil {
		log.Fatal(err)
	}
}

func ask(ctx context.Context, endpoint string, one one) (map[string]any, error) {
	config := clientcredentials.Config{
		ClientID:     one.ClientID,
		ClientSecret: one.ClientSecret,
		TokenURL:     endpoint,
		Scopes:       strings.Fields(one.Scope),
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	if one.Method == "basic" {
		config.AuthStyle = oauth2.AuthStyleInHeader
	}
	if one.Resource != "" {
		config.EndpointParams = url.Values{"resource": {one.Resource}}
	}
	token, err := config.Token(ctx)
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused):
		return map[string]any{"error": refused.ErrorCode, "shown": err.Error()}, nil
	case err != nil:
		return nil, err
	}
	return map[string]any{
		"access_token": token.AccessToken,
		"token_type":   token.TokenType,
		"expires_in":   int(time.Until(token.Expiry).Seconds()),
		"scope":        token.Extra("scope"),
	}, nil
}
