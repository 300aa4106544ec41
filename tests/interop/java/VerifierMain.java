import java.io.BufferedReader;
import java.io.InputStreamReader;

/**
 * Runs Verifier.java for the tests: a line with a scope and a token, a line with the verdict.
 *
 * <p>Arguments: issuer, audience, cool-down in milliseconds.
 */
public final class VerifierMain {
    public static void main(String[] arguments) throws Exception {
        Verifier verifier = new Verifier(arguments[0], arguments[1], Long.parseLong(arguments[2]));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split(" ", 2);
            try {
                System.out.println("accepted " + verifier.verify(parts[1], parts[0]).getStringClaim("client_id"));
            } catch (Verifier.Refused why) {
                System.out.println("refused " + why.getMessage().replaceAll("\\s+", " "));
            }
        }
    }
}
