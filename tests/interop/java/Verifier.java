import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.jwk.source.RateLimitReachedException;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.DefaultResourceRetriever;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.net.URI;
import java.text.ParseException;
import java.util.Arrays;
import java.util.Set;

/** Verifies access tokens of grantd (RFC 9068). One for the whole process: it holds the issuer's keys. */
public final class Verifier {
    /** The token is not good for this. Any other exception: it could not be checked. */
    @SuppressWarnings("serial")
    public static final class Refused extends Exception {
        Refused(String why, Throwable cause) {
            super(why, cause);
        }
    }

    private final DefaultJWTProcessor<SecurityContext> processor = new DefaultJWTProcessor<>();

    /**
     * The keys are kept for 5 minutes. An unknown kid fetches them anew, but only twice in two cool-downs
     * (milliseconds, such as 30,000), whatever people send.
     */
    public Verifier(String issuer, String audience, long coolDown) throws Exception {
        JWKSource<SecurityContext> keys =
                JWKSourceBuilder.<SecurityContext>create(
                                URI.create(issuer + "/oauth2/jwks").toURL(),
                                new DefaultResourceRetriever(5_000, 5_000, 1 << 20))
                        .cache(300_000, 15_000)
                        .rateLimited(2 * coolDown)
                        .build();
        // What your resource's tokens are signed with, and nothing else.
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.ES256, keys));
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
        DefaultJWTClaimsVerifier<SecurityContext> claims =
                new DefaultJWTClaimsVerifier<>(
                        new JWTClaimsSet.Builder().issuer(issuer).audience(audience).build(),
                        Set.of("exp", "iat", "sub", "client_id", "jti"));
        claims.setMaxClockSkew(30); // seconds by which two clocks may differ
        processor.setJWTClaimsSetVerifier(claims);
    }

    /** Returns the claims of a token that is good for this scope. */
    public JWTClaimsSet verify(String token, String scope) throws Refused, JOSEException {
        JWTClaimsSet claims;
        String scopes;
        try {
            claims = processor.process(token, null);
            scopes = claims.getStringClaim("scope");
        } catch (ParseException | BadJOSEException | RateLimitReachedException error) {
            throw new Refused(error.toString(), error);
        }
        if (scopes == null || !Arrays.asList(scopes.split(" ")).contains(scope)) {
            throw new Refused("it lacks the scope " + scope, null);
        }
        return claims;
    }
}
