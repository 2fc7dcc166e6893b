package homing.site;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** The unmodified engine with its REST interface; everything else is given on the command line. */
@SpringBootApplication
public class Site {
    public static void main(String[] args) {
        SpringApplication.run(Site.class, args);
    }
}
